# What the project stands on, all from Debian (scripts/install-packages names the packages). Debian 12 and 13 differ in
# the names of some targets; the differences end here.

if(POLICY CMP0167)
    cmake_policy(SET CMP0167 NEW)  # Boost's own configuration files
endif()

find_package(Threads REQUIRED)
find_package(Boost 1.79 REQUIRED)  # headers only; boost::system::result came with 1.79
find_package(nlohmann_json 3.11 REQUIRED)
find_package(simdjson REQUIRED)  # 3.0 and later; its version file accepts only the very minor that is asked for
find_package(CLI11 2.1 REQUIRED)
find_package(spdlog 1.10 REQUIRED)
find_package(prometheus-cpp REQUIRED CONFIG)
find_package(SQLite3 3.40 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(libssh REQUIRED IMPORTED_TARGET libssh>=0.10.6)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash>=0.8)
pkg_check_modules(sodium REQUIRED IMPORTED_TARGET libsodium>=1.0.18)
pkg_check_modules(nats REQUIRED IMPORTED_TARGET libnats>=3.4)

# toml11 is headers only. Version 4 changed the interface; sshd-transport/config.cpp asks TOML11_VERSION_MAJOR.
find_package(toml11 REQUIRED)
