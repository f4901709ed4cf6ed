#include "router/protocol/field_reader.hpp"

namespace kedge {
namespace {

std::string quoted(field f) { return '"' + std::string{name_of(f)} + '"'; }

}  // namespace

void field_reader::fail(field f, std::string_view expected)
{
    fail({error_code::bad_request, quoted(f) + " must be " + std::string{expected}});
}

bool field_reader::present(field f)
{
    if (has(f))
        return true;
    fail({error_code::bad_request, quoted(f) + " is missing"});
    return false;
}

std::string_view field_reader::text(field f, simdjson::dom::element value, text_kind const& kind)
{
    std::string_view text;
    if (value.get(text) == simdjson::SUCCESS && kind.valid(text))
        return text;
    fail(f, kind.expected);
    return {};
}

std::uint64_t field_reader::number(field f, simdjson::dom::element value, std::uint64_t min)
{
    std::uint64_t number = 0;
    if (value.is_uint64() && value.get(number) == simdjson::SUCCESS && number >= min && number <= number_max)
        return number;
    fail(f, "a whole number from " + std::to_string(min));
    return 0;
}

bool field_reader::may_flag(field f)
{
    bool flag = false;
    if (has(f) && at(f).get(flag) != simdjson::SUCCESS)
        fail(f, "true or false");
    return flag;
}

std::vector<std::string> field_reader::need_list(field f, text_kind const& kind, std::size_t max)
{
    auto values = present(f) ? may_list(f, kind, max) : std::vector<std::string>{};
    if (values.empty())
        fail(f, "a list of 1 to " + std::to_string(max));
    return values;
}

std::vector<std::string> field_reader::may_list(field f, text_kind const& kind, std::size_t max)
{
    std::vector<std::string> values;
    if (!has(f))
        return values;
    simdjson::dom::array array;
    if (at(f).get(array) != simdjson::SUCCESS || array.size() > max) {
        fail(f, "a list of at most " + std::to_string(max));
        return values;
    }
    values.reserve(array.size());
    for (auto const element : array)
        values.emplace_back(text(f, element, kind));
    return values;
}

}  // namespace kedge
