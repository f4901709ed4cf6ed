#pragma once
/// The router's threads with transports in the test's hand.

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "router/host/router_host.hpp"
#include "router/protocol/decoder.hpp"
#include "router/store/memory_store.hpp"

namespace kedge::host_tests {

/// A transport thread's end of the port: takes what is delivered, and waits for it with a bound.
class in_test_transport final : public transport_port {
public:
    void deliver(std::vector<link_output::any> batch) override
    {
        {
            std::lock_guard const lock{mutex_};
            entered_ = true;
        }
        wake_.notify_all();
        if (before_deliver)
            before_deliver();
        {
            std::lock_guard const lock{mutex_};
            ++batches;
            for (auto& o : batch)
                outputs_.push_back(std::move(o));
        }
        wake_.notify_all();
    }
    void accounts_changed(directory_ptr d) override
    {
        {
            std::lock_guard const lock{mutex_};
            directory_ = std::move(d);
        }
        wake_.notify_all();
    }

    template <class Ready>
    bool wait(Ready&& ready)
    {
        std::unique_lock lock{mutex_};
        return wake_.wait_for(lock, std::chrono::seconds{20}, [&] { return ready(outputs_); });
    }
    /// All data of a link, decoded, until `count` notices of a kind are there.
    template <class T>
    std::vector<T> wait_for(link_id link, std::size_t count)
    {
        std::vector<T> found;
        wait([&](auto const& outputs) {
            found.clear();
            notice_decoder decoder{encoding::lines, 1 << 20};
            for (auto const& o : outputs)
                if (auto const* const data = std::get_if<link_output::data>(&o.what); data && o.link == link)
                    decoder.feed(data->bytes->view());
            while (auto next = decoder.next())
                if (*next)
                    if (auto const* const one = std::get_if<T>(&**next))
                        found.push_back(*one);
            return found.size() >= count;
        });
        return found;
    }
    directory_ptr wait_for_user(std::string const& name)
    {
        wait([&](auto const&) { return directory_ && directory_->find_user(name); });
        std::lock_guard const lock{mutex_};
        return directory_;
    }
    /// The router thread is, or was, in `deliver`.
    bool entered()
    {
        return wait([&](auto const&) { return entered_; });
    }
    std::size_t batches = 0;
    std::function<void()> before_deliver;  ///< set while nothing is delivered

private:
    std::mutex mutex_;
    std::condition_variable wake_;
    std::vector<link_output::any> outputs_;
    directory_ptr directory_;
    bool entered_ = false;
};

constexpr link_id link_on(unsigned transport, std::uint64_t number) { return link_id{(std::uint64_t{transport} << 48) | number}; }

struct fixture {
    fixture()
    {
        (void)disk.put_user({"root", "operator", false, false, 1});
        host = std::make_unique<router_host>(router_config{bounds, "kedge/test", {}, "/home"}, store_ports{&disk, &disk}, counts);
        host->attach({&first, &second});
    }
    void open(link_id link, std::string const& user, std::string const& role = "user", bool greet = true)
    {
        auto who = std::make_shared<principal>();
        who->user = user;
        who->role = role;
        who->session = "s";
        std::vector<link_event::any> batch;
        batch.push_back({link, link_event::opened{session_id{static_cast<std::uint64_t>(link)}, who, encoding::lines, greet}});
        host->submit(std::move(batch));
    }
    void say(link_id link, op::any what)
    {
        std::vector<link_event::any> batch;
        batch.push_back({link, link_event::operation{std::move(what), 10}});
        host->submit(std::move(batch));
    }
    void publish(link_id link, std::string const& id, std::string const& subject)
    {
        say(link, op::publish{message::make({subject, id, {}, {}, "x"}), 0});
    }
    admin_result admin(link_id link, std::string name, nlohmann::json args)
    {
        std::vector<link_event::any> batch;
        batch.push_back({link, link_event::admin_request{token{++requests}, {std::move(name), std::move(args)}}});
        host->submit(std::move(batch));
        admin_result found;
        found.exit_status = -1;
        first.wait([&](auto const& outputs) {
            for (auto const& o : outputs)
                if (auto const* const answer = std::get_if<link_output::admin_answer>(&o.what); answer && answer->request == token{requests})
                    found = answer->result;
            return found.exit_status != -1;
        });
        return found;
    }

    limits bounds;
    memory_store disk;
    metrics counts;
    in_test_transport first;
    in_test_transport second;
    std::uint64_t requests = 0;
    std::unique_ptr<router_host> host;
};

}  // namespace kedge::host_tests
