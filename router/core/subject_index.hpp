#pragma once
/// A trie of subject patterns. What a match costs depends on the subject's tokens and on what matches, not on how many
/// other patterns there are. One thread.

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "router/protocol/subject.hpp"

namespace kedge {

/// Lets maps with string keys be searched by `string_view`.
struct text_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
};
struct text_equal {
    using is_transparent = void;
    bool operator()(std::string_view a, std::string_view b) const noexcept { return a == b; }
};

/// `T` is small and comparable (a pointer, an id). The same (pattern, value) may be added once only.
template <class T>
class subject_index {
public:
    void add(std::string_view pattern, T value)
    {
        node* at = &root_;
        for_each_token(pattern, [&](std::string_view token, bool) {
            if (token == ">") {
                at->rest.push_back(value);
                at = nullptr;
                return;
            }
            auto& child = token == "*" ? at->any : at->children[std::string{token}];
            if (!child)
                child = std::make_unique<node>();
            at = child.get();
        });
        if (at)
            at->here.push_back(value);
        ++size_;
    }

    bool remove(std::string_view pattern, T const& value)
    {
        bool const found = remove_below(root_, pattern, value);
        size_ -= found;
        return found;
    }

    /// Calls `found(value)` for each entry whose pattern matches; an entry once for each of its patterns.
    template <class Found>
    void match(std::string_view subject, Found&& found) const
    {
        match_below(root_, subject, !is_reserved(subject), found);
    }

    std::size_t size() const noexcept { return size_; }

private:
    struct node {
        boost::unordered_flat_map<std::string, std::unique_ptr<node>, text_hash, text_equal> children;
        std::unique_ptr<node> any;  // "*"
        std::vector<T> here;        // patterns that end here
        std::vector<T> rest;        // patterns that go on with ">"

        bool empty() const { return children.empty() && !any && here.empty() && rest.empty(); }
    };

    template <class Each>
    static void for_each_token(std::string_view text, Each&& each)
    {
        for (;;) {
            auto const dot = text.find('.');
            each(text.substr(0, dot), dot == std::string_view::npos);
            if (dot == std::string_view::npos)
                return;
            text.remove_prefix(dot + 1);
        }
    }

    static bool erase(std::vector<T>& values, T const& value)
    {
        auto const at = std::find(values.begin(), values.end(), value);
        if (at == values.end())
            return false;
        values.erase(at);
        return true;
    }

    static bool remove_below(node& at, std::string_view pattern, T const& value)
    {
        auto const dot = pattern.find('.');
        bool const last = dot == std::string_view::npos;
        auto const token = pattern.substr(0, dot);
        if (token == ">")
            return erase(at.rest, value);
        auto const child_of = [&](node& child) {
            return last ? erase(child.here, value) : remove_below(child, pattern.substr(dot + 1), value);
        };
        if (token == "*") {
            if (!at.any || !child_of(*at.any))
                return false;
            if (at.any->empty())
                at.any.reset();
            return true;
        }
        auto const child = at.children.find(token);
        if (child == at.children.end() || !child_of(*child->second))
            return false;
        if (child->second->empty())
            at.children.erase(child);
        return true;
    }

    template <class Found>
    static void match_below(node const& at, std::string_view subject, bool wildcards, Found& found)
    {
        if (wildcards)
            for (auto const& value : at.rest)
                found(value);
        auto const dot = subject.find('.');
        bool const last = dot == std::string_view::npos;
        auto const into = [&](node const& child) {
            if (last) {
                for (auto const& value : child.here)
                    found(value);
            } else {
                match_below(child, subject.substr(dot + 1), true, found);
            }
        };
        if (wildcards && at.any)
            into(*at.any);
        if (auto const child = at.children.find(subject.substr(0, dot)); child != at.children.end())
            into(*child->second);
    }

    node root_;
    std::size_t size_ = 0;
};

}  // namespace kedge
