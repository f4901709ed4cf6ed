#include "router/protocol/line_reader.hpp"

#include <utility>

namespace kedge {
namespace {

bool blank(std::string_view text) noexcept { return text.find_first_not_of(" \t\r") == std::string_view::npos; }

}  // namespace

void line_reader::feed(std::string_view input)
{
    input_.consume(std::exchange(taken_, 0));
    input_.append(input);
}

std::optional<line> line_reader::next()
{
    for (;;) {
        input_.consume(std::exchange(taken_, 0));
        auto const found = read();
        if (!found)
            input_.release();
        if (!found || found->too_long || !blank(found->text))
            return found;
    }
}

std::optional<line> line_reader::read()
{
    auto const bytes = input_.view();
    auto end = bytes.find('\n', searched_);
    auto taken = end + 1;
    if (end == std::string_view::npos) {
        if (bytes.size() > line_bytes_max_ || dropped_ != 0) {
            dropped_ += bytes.size();
            input_.consume(bytes.size());
            searched_ = 0;
        } else {
            searched_ = bytes.size();
        }
        if (!finished_ || empty())
            return std::nullopt;
        end = taken = input_.size();  // what is held is a line all the same
    }
    searched_ = 0;
    taken_ = taken;
    auto const dropped = std::exchange(dropped_, 0);
    if (dropped != 0 || end > line_bytes_max_)
        return line{true, {}, dropped + taken};
    auto text = bytes.substr(0, end);
    if (!text.empty() && text.back() == '\r')
        text.remove_suffix(1);
    return line{false, text, taken};
}

}  // namespace kedge
