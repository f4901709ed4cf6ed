#pragma once
/// `kedged --recover`: puts what can be saved of a damaged database in its place.

#include <filesystem>

namespace kedge {

/// Says on standard output what was saved and what was not; the damaged database stays beside the new one. Returns the exit
/// status. Throws std::runtime_error with a sentence if a server runs on that home, there is no database, or nothing of it can
/// be read; then everything is as it was.
int run_recovery(std::filesystem::path const& home);

}  // namespace kedge
