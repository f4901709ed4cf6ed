#pragma once
/// A line that a person types. A terminal of this machine shows and corrects it by itself; of a terminal at the other end of
/// an SSH channel that is ours to do. Internal to router/command.

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace kedge {

class typed_line {
public:
    explicit typed_line(bool echoes = false) : echoes_{echoes} {}

    /// What is to be shown of the keys goes to `out`. The line, without its end, when it is whole.
    std::optional<std::string> take(std::string_view keys, std::string& out)
    {
        for (char const key : keys) {
            if (key == '\n' || key == '\r') {
                out += echoes_ ? "\n" : "";
                return std::exchange(line_, {});
            }
            if (key == 0x7f || key == '\b') {
                if (!line_.empty() && echoes_)
                    out += "\b \b";
                if (!line_.empty())
                    line_.pop_back();
            } else if (line_.size() < size_max && static_cast<unsigned char>(key) >= 0x20) {
                line_ += key;
                if (echoes_)
                    out += static_cast<unsigned char>(key) < 0x7f ? key : '?';
            }
        }
        return std::nullopt;
    }

private:
    static constexpr std::size_t size_max = 256;

    bool echoes_;
    std::string line_;
};

}  // namespace kedge
