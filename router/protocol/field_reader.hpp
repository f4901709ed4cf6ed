#pragma once
/// Reads fields with their checks and remembers the first that was wrong. Internal to router/protocol.

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "router/protocol/json_fields.hpp"

namespace kedge {

/// What a string must be, and how a person is told.
struct text_kind {
    bool (*valid)(std::string_view) noexcept;
    std::string_view expected;
};

/// Numbers travel on as 64-bit signed integers (SQLite has no others).
inline constexpr std::uint64_t number_max = std::numeric_limits<std::int64_t>::max();

/// After a failure the values are empty or zero: whoever read all fields looks at `problem()` once, at the end.
class field_reader {
public:
    explicit field_reader(json_fields const& fields) : fields_{fields} {}

    bool has(field f) const noexcept { return fields_.has(f); }
    simdjson::dom::element at(field f) const noexcept { return fields_.at(f); }

    std::string_view need(field f, text_kind const& kind) { return present(f) ? text(f, at(f), kind) : std::string_view{}; }
    std::string_view may(field f, text_kind const& kind) { return has(f) ? text(f, at(f), kind) : std::string_view{}; }

    std::uint64_t need_number(field f, std::uint64_t min) { return present(f) ? number(f, at(f), min) : 0; }
    std::optional<std::uint64_t> may_number(field f, std::uint64_t min)
    {
        return has(f) ? std::optional{number(f, at(f), min)} : std::nullopt;
    }

    bool may_flag(field f);

    /// 1 to `max` strings.
    std::vector<std::string> need_list(field f, text_kind const& kind, std::size_t max);
    /// Up to `max` strings; none if the field is absent.
    std::vector<std::string> may_list(field f, text_kind const& kind, std::size_t max);

    // For values within values:
    std::string_view text(field f, simdjson::dom::element, text_kind const&);
    std::uint64_t number(field f, simdjson::dom::element, std::uint64_t min);
    /// Notes that the field is missing, if it is.
    bool present(field f);

    /// The first failure wins.
    void fail(failure why)
    {
        if (!problem_)
            problem_ = std::move(why);
    }
    void fail(field f, std::string_view expected);
    std::optional<failure> const& problem() const noexcept { return problem_; }

private:
    json_fields const& fields_;
    std::optional<failure> problem_;
};

}  // namespace kedge
