#pragma once
/// A header (or line) as a notice. A client takes what it knows and ignores the rest; what is there must have the right
/// type.

#include <optional>
#include <string_view>

#include "router/protocol/notice.hpp"

namespace kedge {

/// `header` is followed by `json_padding` readable bytes. `body` is the frame's; none for a line, where it is in `data`
/// or `data64`. The failure is `bad_frame`: a server that is not understood cannot be talked to.
result<notice::any> read_notice(std::string_view header, std::optional<std::string_view> body);

}  // namespace kedge
