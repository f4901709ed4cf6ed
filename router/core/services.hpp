#pragma once
/// Who serves what, and which calls are open. Bookkeeping only: links are known by their ids, nothing is encoded, nothing is
/// sent, and time is told. Router thread; owned by the core.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "router/core/subject_index.hpp"
#include "router/protocol/ids.hpp"

namespace kedge {

/// One link's offer of one service.
struct service_instance {
    std::uint64_t id = 0;  ///< shown as 16 hex digits
    link_id at{};
    std::string user;
    std::string service;
    std::string version;
    std::vector<std::string> methods;  ///< sorted, each once
    std::string description;
    std::uint64_t since_ms = 0;  ///< wall clock

    // Kept by the registry.
    std::size_t open = 0;     ///< calls given to it that are not over
    std::uint64_t given = 0;  ///< rises with each call given to any instance; 0 = had none yet
};

/// The instances of all services. Pointers to an instance hold until it is removed.
class service_registry {
public:
    /// That link's instance of that service; null if it has none.
    service_instance* find(link_id at, std::string_view service) const;
    /// There is none of that link and service yet.
    service_instance& add(service_instance);
    void remove(service_instance&);

    /// In the order of their names.
    std::vector<service_instance*> of(link_id) const;
    std::size_t instances(std::string_view service) const;
    std::size_t instances() const noexcept { return instances_.size(); }
    std::size_t services() const noexcept { return by_load_.size(); }
    /// What all instances of a service have together; sorted, each once.
    std::vector<std::string> methods(std::string_view service) const;

    struct choice {
        service_instance* to = nullptr;
        bool served = false;      ///< the service has an instance
        bool has_method = false;  ///< and one of them has the method
    };
    /// The least busy instance that has the method and of which `has_room(instance)` holds: fewest open calls, then least
    /// recently given one. Logarithmic, as long as the least busy will do.
    template <class HasRoom>
    choice choose(std::string_view service, std::string_view method, HasRoom&& has_room) const
    {
        choice c;
        auto const known = by_load_.find(service);
        if (known == by_load_.end())
            return c;
        c.served = true;
        for (auto* const i : known->second) {
            if (!has(*i, method))
                continue;
            c.has_method = true;
            if (has_room(*i)) {
                c.to = i;
                break;
            }
        }
        return c;
    }

    /// A call was given to it, or is over.
    void begin(service_instance&);
    void end(service_instance&);

    /// By service, the least busy first.
    template <class Visit>
    void each(Visit&& visit) const
    {
        for (auto const& [name, instances] : by_load_)
            for (auto const* const i : instances)
                visit(*i);
    }

private:
    struct less_busy {
        bool operator()(service_instance const* a, service_instance const* b) const noexcept
        {
            // Those that never had a call take turns by the order in which they came.
            return std::tie(a->open, a->given, a->at) < std::tie(b->open, b->given, b->at);
        }
    };
    static bool has(service_instance const&, std::string_view method);
    template <class Change>
    void reorder(service_instance&, Change&&);

    using by_link = std::pair<link_id, std::string_view>;
    struct link_order {
        using is_transparent = void;
        bool operator()(by_link const& a, by_link const& b) const noexcept { return a < b; }
    };
    std::map<std::pair<link_id, std::string>, std::unique_ptr<service_instance>, link_order> instances_;
    std::map<std::string, std::set<service_instance*, less_busy>, std::less<>> by_load_;
    std::uint64_t last_given_ = 0;
};

/// Names an open call. Never used twice in a process.
enum class call_number : std::uint64_t { none = 0 };

struct open_call {
    call_number number{};
    link_id caller{};
    std::string id;            ///< the caller's
    std::uint64_t due_ms = 0;  ///< steady clock: the answer is `timeout` then
    std::uint64_t timeout_ms = 0;
    // Of a service:
    std::string service;         ///< empty = by subject: whoever publishes to the reply subject answers
    link_id at{};                ///< who was given it
    std::uint64_t instance = 0;  ///< the link may have served anew since
    // By subject:
    std::uint64_t secret = 0;    ///< part of the reply subject
    std::string outside;         ///< its subject, if none but links of the server's own were given it: they can say that nobody answers
};

/// Every way out of the table gives the call back once: so it is answered once.
class call_table {
public:
    /// Gives it its number. The caller has no open call of that id.
    open_call const& open(open_call);
    open_call const* find(call_number) const;
    bool has(link_id caller, std::string_view id) const;
    std::size_t of_caller(link_id) const;
    /// Whether a call is open that was given to that link.
    bool any_at(link_id) const;
    std::size_t size() const noexcept { return calls_.size(); }
    /// When the next call times out; nothing if none is open.
    std::optional<std::uint64_t> due_ms() const;

    std::optional<open_call> take(call_number);
    /// One that has timed out, the one that was due first.
    std::optional<open_call> take_due(std::uint64_t now_ms);
    /// One that was given to that link, the oldest first.
    std::optional<open_call> take_at(link_id);
    /// One of that caller.
    std::optional<open_call> take_of(link_id caller);

private:
    using ids = boost::unordered_flat_map<std::string, call_number, text_hash, text_equal>;

    boost::unordered_flat_map<call_number, open_call> calls_;
    boost::unordered_flat_map<link_id, ids> callers_;
    std::set<std::pair<link_id, call_number>> given_;
    std::set<std::pair<std::uint64_t, call_number>> due_;
    std::uint64_t last_number_ = 0;
};

}  // namespace kedge
