# Catch2 2 (Debian 12) and 3 (Debian 13) behind one header, "tests/catch.hpp", and one target with `main`.
find_package(Catch2 REQUIRED)
if(TARGET Catch2::Catch2WithMain)
    add_library(kedge_catch_main INTERFACE)
    target_link_libraries(kedge_catch_main INTERFACE Catch2::Catch2WithMain)
else()
    add_library(kedge_catch_main STATIC "${CMAKE_CURRENT_SOURCE_DIR}/catch_main.cpp")
    target_link_libraries(kedge_catch_main PUBLIC kedge_flags Catch2::Catch2)

endif()
