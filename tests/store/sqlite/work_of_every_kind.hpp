#pragma once
/// Something of everything that a store holds, for tests that look at a whole database.

#include "tests/store/mirror_requests.hpp"

namespace kedge::test {

inline constexpr stream_id work_stream{2};
inline constexpr std::uint64_t work_rows = 5002 - 14;  ///< of the stream, after its purge
inline constexpr std::uint64_t work_posts = 2;

/// Streams INBOX (1) and S (2) with a consumer C, people and what belongs to them. On a new store.
inline void work_of_every_kind(store_fixture& f)
{
    auto& accounts = f.accounts();
    for (char const* const name : {"alice", "bob"})
        REQUIRE(accounts.put_user({name, "user", false, false, 1, {{"mail_messages", 5}}}).has_value());
    REQUIRE(accounts.put_key({"bob", "ssh-ed25519", "blob", "SHA256:b", "", "", {}, 0, 1, false}).has_value());
    REQUIRE(accounts.add_rule({0, rule::effect::deny, rule::act::post, "bob", "", "x"}).has_value());
    REQUIRE(accounts.add_ban({0, "bob", "", "", 0, "", "op", 1}).has_value());
    REQUIRE(accounts.put_alias({"al", "alice"}).has_value());
    REQUIRE(accounts.put_list({"l", "alice", account_list::posting::anyone, {"bob", "~al"}}).has_value());
    REQUIRE(accounts.add_audit({0, 1, "op", "SHA256:o", "user add", "{}", "done"}).has_value());

    auto const stream = add_stream(f);
    REQUIRE(stream == work_stream);
    fill(f, stream, 5000);  // a segment and a bit
    f.run({append_id(stream, "i1"), append_n(stream, 1), store_request::put_node{"alice/laptop", 1}});
    auto const consumer = add_consumer(f, stream);
    store_request::save_cursor save{next_token(), consumer, {}, {{3, 1, "no"}, {5, 1, "no"}}, 9};
    save.position.next = 10;
    save.position.pending = {{7, 1, 0}, {9, 2, 5}};
    REQUIRE(of<store_event::done>(f.run({save})).size() == 1);
    auto post = append(stream_id{1}, "");
    post.recipients = shared_bytes::copy_of("alice bob/desk");
    f.run({post, post});
    store_request::purge purge{next_token(), stream, "s.3", 100};
    f.run({purge});
    f.maintain();
    f.run({mirror(stream, 4000, false, "journal"), import(stream, {copy_of(4000, 1), copy_of(4002, 2), nothing(3)}, "lanes")});
}

}  // namespace kedge::test
