// Only built with Catch2 2, whose library has no `main`.
#define CATCH_CONFIG_MAIN
#include "tests/catch.hpp"
