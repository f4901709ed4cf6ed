/// Runs a harness over the files of its corpus, for builds without libFuzzer.

#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "tests/fuzz/check.hpp"

int main(int argc, char** argv)
try {
    std::size_t count = 0;
    for (int i = 1; i < argc; ++i) {
        for (auto const& entry : std::filesystem::directory_iterator{argv[i]}) {
            std::ifstream file{entry.path(), std::ios::binary};
            std::string const input{std::istreambuf_iterator<char>{file}, {}};
            std::cout << entry.path().filename().string() << '\n' << std::flush;  // the last one named is the one that failed
            LLVMFuzzerTestOneInput(reinterpret_cast<std::uint8_t const*>(input.data()), input.size());
            ++count;
        }
    }
    std::cout << count << " inputs\n";
    return count == 0 ? 1 : 0;
} catch (std::exception const& e) {
    std::cerr << e.what() << '\n';
    return 1;
}
