# How targets are made here: one set of flags, one precompiled header, and a check that no test file is left out.

find_program(KEDGE_CCACHE ccache)
if(KEDGE_CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env CCACHE_SLOPPINESS=pch_defines,time_macros
        "${KEDGE_CCACHE}")
endif()
find_program(KEDGE_MOLD mold)
if(KEDGE_MOLD AND NOT KEDGE_FUZZ)
    add_link_options(-fuse-ld=mold)
endif()

# "Dev": assertions on, fast enough for simulations, quick to compile.
# Sanitizers too: at -O0 they compile in about half the CPU time, but the tests of the store and the client ran much longer.
set(CMAKE_CXX_FLAGS_DEV "-O1 -g1" CACHE STRING "" FORCE)
set(CMAKE_EXE_LINKER_FLAGS_DEV "" CACHE STRING "" FORCE)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1" CACHE STRING "" FORCE)

add_library(kedge_flags INTERFACE)
target_include_directories(kedge_flags INTERFACE "${CMAKE_SOURCE_DIR}")
target_compile_options(kedge_flags INTERFACE -Wall -Wextra -Wpedantic -Wswitch -Wnon-virtual-dtor -Woverloaded-virtual
    -Winvalid-pch -fno-omit-frame-pointer $<$<BOOL:${KEDGE_WERROR}>:-Werror>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # GCC 12 sees overlaps and overruns in std::string's own operator+ (GCC bug 105329).
    target_compile_options(kedge_flags INTERFACE -Wno-restrict -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread)
endif()
target_compile_definitions(kedge_flags INTERFACE KEDGE_VERSION="${PROJECT_VERSION}" BOOST_ASIO_NO_DEPRECATED
    BOOST_ASIO_DISABLE_BOOST_REGEX BOOST_ASIO_SEPARATE_COMPILATION)
if(CMAKE_UNITY_BUILD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Takes each file of a unit but the unit itself for a header, where an unnamed namespace would be a mistake.
    target_compile_options(kedge_flags INTERFACE -Wno-subobject-linkage)
endif()
# GCC takes the members of a std::variant's other alternatives for uninitialised when it inlines much.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU"
   AND (CMAKE_BUILD_TYPE STREQUAL "Release" OR KEDGE_SANITIZE OR CMAKE_UNITY_BUILD OR CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 13))
    target_compile_options(kedge_flags INTERFACE -Wno-maybe-uninitialized)
endif()
target_link_libraries(kedge_flags INTERFACE Threads::Threads)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_options(kedge_flags INTERFACE -fstack-protector-strong -D_FORTIFY_SOURCE=2)
    target_link_options(kedge_flags INTERFACE -Wl,-z,relro,-z,now)
endif()
if(KEDGE_SANITIZE)
    target_compile_options(kedge_flags INTERFACE -fsanitize=${KEDGE_SANITIZE})
    target_link_options(kedge_flags INTERFACE -fsanitize=${KEDGE_SANITIZE})
    if(KEDGE_SANITIZE MATCHES "thread")
        # ThreadSanitizer does not understand fences; what they order is ordered by Asio's queues too.
        target_compile_definitions(kedge_flags INTERFACE BOOST_ASIO_DISABLE_FENCED_BLOCK)
    endif()
    if(KEDGE_SANITIZE MATCHES "undefined")
        target_compile_options(kedge_flags INTERFACE -fno-sanitize-recover=undefined)
    endif()
endif()
if(KEDGE_FUZZ)
    target_compile_options(kedge_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# The standard headers and JSON, compiled once. Targets with other needs name their own.
file(CONFIGURE OUTPUT "${CMAKE_BINARY_DIR}/kedge_pch.cpp" CONTENT "")
add_library(kedge_pch OBJECT "${CMAKE_BINARY_DIR}/kedge_pch.cpp")
target_link_libraries(kedge_pch PRIVATE kedge_flags nlohmann_json::nlohmann_json)
target_precompile_headers(kedge_pch PRIVATE <algorithm> <array> <atomic> <charconv> <chrono> <cstdint> <cstring> <deque>
    <functional> <map> <memory> <mutex> <optional> <set> <span> <string> <string_view> <thread> <unordered_map> <utility>
    <variant> <vector> <nlohmann/json.hpp> <boost/system/result.hpp> <boost/smart_ptr/intrusive_ptr.hpp>)

# Asio, compiled once instead of in every file that includes it.
file(CONFIGURE OUTPUT "${CMAKE_BINARY_DIR}/kedge_asio.cpp" CONTENT "#include <boost/asio/impl/src.hpp>\n")
add_library(kedge_asio STATIC "${CMAKE_BINARY_DIR}/kedge_asio.cpp")
target_link_libraries(kedge_asio PUBLIC kedge_flags Boost::headers)

# kedge_library(NAME SOURCES… LINKS…): what a folder offers to those above it.
function(kedge_library name)
    cmake_parse_arguments(arg "" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
    add_library(${name} STATIC ${arg_SOURCES})
    target_link_libraries(${name} PUBLIC kedge_flags ${arg_LINKS} PRIVATE ${arg_PRIVATE_LINKS})
    target_precompile_headers(${name} REUSE_FROM kedge_pch)
endfunction()

# Fails the configuration if a C++ file below `folder` is in no target.
function(kedge_no_orphans folder)
    file(GLOB_RECURSE found CONFIGURE_DEPENDS RELATIVE "${folder}" "${folder}/*.cpp")
    get_property(known GLOBAL PROPERTY KEDGE_TEST_SOURCES)
    foreach(file IN LISTS found)
        if(NOT "${folder}/${file}" IN_LIST known)
            message(${KEDGE_ORPHANS} "tests/${file} is in no target: add it to the CMakeLists.txt of its folder")
        endif()
    endforeach()
endfunction()
