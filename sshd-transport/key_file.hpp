#pragma once
/// Key pairs in files, in OpenSSH's format. One thread; throws std::runtime_error with a sentence.

#include <filesystem>
#include <string>
#include <string_view>

namespace kedge {

/// Makes an ed25519 pair and writes PATH (0600) and PATH.pub, each whole or not at all, the private one last. Replaces
/// what is there.
void make_key_pair(std::filesystem::path const& path, std::string const& comment);

/// "ssh-ed25519 BASE64" of the private key in PATH, which must not be encrypted.
std::string public_line(std::filesystem::path const& path);

/// Writes the file whole or not at all, synced, with this mode.
void write_file(std::filesystem::path const& path, std::string_view text, unsigned mode);

}  // namespace kedge
