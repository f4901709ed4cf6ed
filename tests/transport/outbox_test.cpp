#include "sshd-transport/outbox.hpp"

#include "tests/catch.hpp"

using namespace kedge;

TEST_CASE("an outbox gives back what was put in, whatever is taken at a time")
{
    std::string all;
    for (unsigned at = 0; at < 300; ++at) all += std::string(at % 23, static_cast<char>('a' + at % 26));
    std::size_t const sizes[] = {1, 7, 22, 100, all.size(), all.size() * 2};
    for (auto const max : sizes) {
        for (std::size_t const less : {0u, 1u, 3u}) {  // libssh may take less than it was shown
            INFO(max << ' ' << less);
            outbox box;
            for (unsigned at = 0; at < 300; ++at) box.append(std::string(at % 23, static_cast<char>('a' + at % 26)));
            REQUIRE(box.bytes() == all.size());
            std::string got, scratch;
            while (!box.empty()) {
                auto const piece = box.next(max, scratch);
                REQUIRE(!piece.empty());
                REQUIRE(piece.size() <= max);
                REQUIRE(piece.size() == std::min(max, box.bytes()));
                auto const taken = piece.size() > less ? piece.size() - less : piece.size();
                got += piece.substr(0, taken);
                box.consume(taken);
                REQUIRE(box.bytes() == all.size() - got.size());
            }
            CHECK(got == all);
            CHECK(box.next(max, scratch).empty());
        }
    }
}

TEST_CASE("a large block is shown where it lies, small ones are gathered")
{
    outbox box;
    std::string scratch;
    auto const large = shared_bytes::copy_of(std::string(100, 'x'));
    box.append(large);
    box.append("tail");
    CHECK(box.next(64, scratch).data() == large->data());
    box.consume(64);
    auto const gathered = box.next(64, scratch);
    CHECK(gathered.substr(0, 36) == std::string_view{large->data(), 36});
    CHECK(gathered.substr(36) == "tail");
    box.consume(40);
    CHECK(box.empty());
    box.append(std::string_view{});
    box.append(bytes_ptr{});
    CHECK(box.empty());
}

TEST_CASE("appending while taking keeps the order")
{
    outbox box;
    std::string put, got, scratch;
    for (unsigned at = 0; at < 1000; ++at) {
        auto text = std::to_string(at);
        text += ' ';
        box.append(text);
        put += text;
        if (at % 3 == 0) {
            auto const piece = std::string{box.next(5, scratch)};
            box.consume(piece.size());
            got += piece;
        }
    }
    while (!box.empty()) {
        auto const piece = std::string{box.next(50, scratch)};
        box.consume(piece.size());
        got += piece;
    }
    CHECK(got == put);
    box.append("gone");
    box.clear();
    CHECK(box.empty());
}
