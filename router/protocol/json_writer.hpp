#pragma once
/// Writes one JSON object, made for short headers: no tree, no allocation below a kilobyte.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

namespace kedge {

/// Bytes that `text` takes between the quotes of a JSON string.
std::size_t json_escaped_size(std::string_view text) noexcept;

/// Writes `text` with what JSON wants escaped; returns the end. `out` has room for `json_escaped_size(text)` bytes. The
/// result is as valid as UTF-8 as `text` is.
char* json_escape(std::string_view text, char* out) noexcept;

/// Use: `field` and its kin in order, then `view()`, which lacks the closing brace so that a body may follow. The
/// names of fields are literals that need no escaping.
class json_writer {
public:
    json_writer() noexcept : begin_{here_}, at_{here_}, end_{here_ + sizeof here_} { *at_++ = '{'; }
    json_writer(json_writer const&) = delete;
    json_writer& operator=(json_writer const&) = delete;

    void field(std::string_view name, std::string_view value)
    {
        key(name, 6 * value.size() + 2);
        string(value);
    }
    void field(std::string_view name, std::uint64_t value)
    {
        key(name, number_size);
        number(value);
    }
    void field(std::string_view name, bool value) { raw_field(name, value ? "true" : "false"); }
    /// Otherwise a literal would be a `bool`.
    void field(std::string_view name, char const* value) { field(name, std::string_view{value}); }

    /// Left out if empty or zero.
    void field_unless_empty(std::string_view name, std::string_view value)
    {
        if (!value.empty())
            field(name, value);
    }
    void field_unless_zero(std::string_view name, std::uint64_t value)
    {
        if (value != 0)
            field(name, value);
    }

    /// `value` is JSON already.
    void raw_field(std::string_view name, std::string_view value)
    {
        key(name, value.size());
        raw(value);
    }

    /// Strings or numbers; what would begin beyond `size_soft_max` bytes of the object is left out.
    template <class Values>
    void list_field(std::string_view name, Values const& values, std::size_t size_soft_max = SIZE_MAX)
    {
        key(name, 2);
        *at_++ = '[';
        for (auto const& value : values)
            if (view().size() < size_soft_max)
                element(value);
        close_list();
    }

    void begin_object(std::string_view name)
    {
        key(name, 1);
        *at_++ = '{';
    }
    void end_object()
    {
        reserve(1);
        *at_++ = '}';
    }

    std::string_view view() const noexcept { return {begin_, static_cast<std::size_t>(at_ - begin_)}; }

private:
    static constexpr std::size_t number_size = 20;

    void reserve(std::size_t bytes)
    {
        if (static_cast<std::size_t>(end_ - at_) < bytes)
            grow(bytes);
    }
    /// Comma, name and colon, and room for a value of `value_bytes`, a comma after it included.
    void key(std::string_view name, std::size_t value_bytes)
    {
        reserve(name.size() + 4 + value_bytes + 1);
        if (at_[-1] != '{')
            *at_++ = ',';
        *at_++ = '"';
        raw(name);
        *at_++ = '"';
        *at_++ = ':';
    }
    void raw(std::string_view text) noexcept
    {
        if (!text.empty())
            std::memcpy(at_, text.data(), text.size());
        at_ += text.size();
    }
    void string(std::string_view value) noexcept
    {
        *at_++ = '"';
        at_ = json_escape(value, at_);
        *at_++ = '"';
    }
    void number(std::uint64_t value) noexcept;
    void element(std::string_view value)
    {
        reserve(6 * value.size() + 4);
        string(value);
        *at_++ = ',';
    }
    void element(std::uint64_t value)
    {
        reserve(number_size + 2);
        number(value);
        *at_++ = ',';
    }
    void close_list() noexcept
    {
        if (at_[-1] == ',')
            --at_;
        *at_++ = ']';
    }
    void grow(std::size_t bytes);

    std::unique_ptr<char[]> heap_;
    char* begin_;
    char* at_;
    char* end_;
    char here_[1024];
};

}  // namespace kedge
