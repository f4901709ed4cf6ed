#pragma once
/// Each case of the contract is one function, run in memory and against a real server.

#include "tests/catch.hpp"
#include "tests/migration/backend_contract/world.hpp"

#define KEDGE_BACKEND_CASE(function, text)                                      \
    static void function(::kedge::migration::bus_world& world);                 \
    TEST_CASE("backend in memory: " text, "[memory]")                           \
    {                                                                           \
        ::kedge::migration::memory_world world;                                 \
        function(world);                                                        \
    }                                                                           \
    TEST_CASE("backend of nats-server: " text, "[nats]")                        \
    {                                                                           \
        ::kedge::migration::nats_world world;                                   \
        function(world);                                                        \
    }                                                                           \
    static void function(::kedge::migration::bus_world& world)
