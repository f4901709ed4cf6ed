#pragma once
/// Whose a JetStream stream is: the mark in its description. `kedge HOME INCARNATION STREAM/NUMBER`, then free text. HOME stands for the
/// secret of a home, which a restore keeps; INCARNATION for its database, which a restore renews; NUMBER for one of all the streams that
/// had the name. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kedge::migration {

struct owner_mark {
    std::string home;         ///< 16 hex digits
    std::string incarnation;
    std::string stream;       ///< of kedge
    std::uint64_t number = 0; ///< its id; 0 = not said, which is any

    friend bool operator==(owner_mark const&, owner_mark const&) = default;
};

/// The name of a home that others may see.
std::string home_of(std::string_view secret);

/// The description of a stream of ours.
std::string describe_owner(owner_mark const&);
/// Nothing: no mark of a kedge.
std::optional<owner_mark> read_owner(std::string_view description);

enum class ownership : unsigned char {
    ours,
    unmarked,   ///< nobody's
    renewed,    ///< ours from before a restore: to be marked anew
    taken,      ///< it was ours, and another database of this home marked it since
    former,     ///< of a stream of this home that had the name, and was removed
    foreign     ///< another home's, or of another stream of this home
};
/// `marked`: the incarnation that this home's journal says it marked the stream with; empty = it never did.
ownership judge_owner(std::string_view description, owner_mark const& self, std::string_view marked);

/// Whose it is, for a sentence.
std::string name_owner(std::string_view description);

}  // namespace kedge::migration
