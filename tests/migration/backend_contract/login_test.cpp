/// Who kedge is, and who the server is: every way to log in, and what is said when it does not work.

#include <algorithm>
#include <fstream>
#include <mutex>
#include <string_view>
#include <thread>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "migration/nats/nkey.hpp"
#include "tests/migration/backend_contract/contract.hpp"

namespace kedge::migration {
namespace {

using namespace backend_event;

// Keys of this test alone: an operator, an account with JetStream and a user of it, none of which ends.
constexpr char const* operator_jwt =
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.eyJzdWIiOiJPRFlVUDNMSzJSU0tMNTM0TDNJQlVGUFRDVFBKSVFUUkk2NkMyWlF"
    "FVTNSNTVSNktEUTc2NFhZVyIsIm5hbWUiOiJ0ZXN0IiwibmF0cyI6eyJ0eXBlIjoib3BlcmF0b3IiLCJ2ZXJzaW9uIjoyfSwiaWF0IjoxNzAwM"
    "DAwMDAwLCJpc3MiOiJPRFlVUDNMSzJSU0tMNTM0TDNJQlVGUFRDVFBKSVFUUkk2NkMyWlFFVTNSNTVSNktEUTc2NFhZVyIsImp0aSI6IldRSFd"
    "QNldEMlBESUFXTVlEMzZTQldLN0dVREM1TVJEWlZJUU5ZQktXNTNBT0pWQjVXRlEifQ.HcLN44nu0vfB47EMqfCHm-jqh-2ujhMB8HOOI6PNm9"
    "5-iAVbyKgqpALcoR8XjPCAEGMOpqej7B_FFYt1F_C2Ag";
constexpr char const* account_key =
    "ABRDPQTA2LOXXRFLPTVSJXAP3NDJJCT4M4OLSIYMUAIJXYZQGPQ3AZYR";
constexpr char const* account_jwt =
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.eyJzdWIiOiJBQlJEUFFUQTJMT1hYUkZMUFRWU0pYQVAzTkRKSkNUNE00T0xTSVl"
    "NVUFJSlhZWlFHUFEzQVpZUiIsIm5hbWUiOiJidXMiLCJuYXRzIjp7ImxpbWl0cyI6eyJzdWJzIjotMSwiZGF0YSI6LTEsInBheWxvYWQiOi0xL"
    "CJpbXBvcnRzIjotMSwiZXhwb3J0cyI6LTEsIndpbGRjYXJkcyI6dHJ1ZSwiY29ubiI6LTEsImxlYWYiOi0xLCJtZW1fc3RvcmFnZSI6LTEsImR"
    "pc2tfc3RvcmFnZSI6LTEsInN0cmVhbXMiOi0xLCJjb25zdW1lciI6LTF9LCJkZWZhdWx0X3Blcm1pc3Npb25zIjp7InB1YiI6e30sInN1YiI6e"
    "319LCJ0eXBlIjoiYWNjb3VudCIsInZlcnNpb24iOjJ9LCJpYXQiOjE3MDAwMDAwMDAsImlzcyI6Ik9EWVVQM0xLMlJTS0w1MzRMM0lCVUZQVEN"
    "UUEpJUVRSSTY2QzJaUUVVM1I1NVI2S0RRNzY0WFlXIiwianRpIjoiUldFSEJUWEhLUEVLTEhLNE9DSUtCQjZTS1dVVE1BV0pLQUFJN040WkRUM"
    "zRSRTZGM043USJ9.paVEdnIpztDKewf6nRntMf73fJbytg7dpR0jFSq_bAh8EjL0Yvy3S1lViNerdUlEPr--ZmuOd4SBbomWp9K_Dg";
constexpr char const* system_key =
    "ADX2LUALZTOXIK5K23PGAV7YFM4DFZ3Y7BS7OM3DWLOZ44BUHJV7OVEQ";
constexpr char const* system_jwt =
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.eyJzdWIiOiJBRFgyTFVBTFpUT1hJSzVLMjNQR0FWN1lGTTRERlozWTdCUzdPTTN"
    "EV0xPWjQ0QlVISlY3T1ZFUSIsIm5hbWUiOiJTWVMiLCJuYXRzIjp7ImxpbWl0cyI6eyJzdWJzIjotMSwiZGF0YSI6LTEsInBheWxvYWQiOi0xL"
    "CJpbXBvcnRzIjotMSwiZXhwb3J0cyI6LTEsIndpbGRjYXJkcyI6dHJ1ZSwiY29ubiI6LTEsImxlYWYiOi0xfSwiZGVmYXVsdF9wZXJtaXNzaW9"
    "ucyI6eyJwdWIiOnt9LCJzdWIiOnt9fSwidHlwZSI6ImFjY291bnQiLCJ2ZXJzaW9uIjoyfSwiaWF0IjoxNzAwMDAwMDAwLCJpc3MiOiJPRFlVU"
    "DNMSzJSU0tMNTM0TDNJQlVGUFRDVFBKSVFUUkk2NkMyWlFFVTNSNTVSNktEUTc2NFhZVyIsImp0aSI6IlZDVUNFN0pLUUs1S0laNzJCQjVLTU9"
    "DU1dPVFdWNldISEdYNTJXTkNYSEFNSENHR0dXT0EifQ.8S9q7w8AuXOB23tZlK9QunPqQBjlJ1ibRAs9lues0O0IDq41co0Xu2a54B-NjPHHEG"
    "nGcl2VtBWqeb7TEqMnCw";
constexpr char const* user_jwt =
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.eyJzdWIiOiJVRDNVUFYzNVpaNFVVSVdMSEJPTFcyQUVRM1ZOT0tJTUEyR1lPMzR"
    "WQTZUR1JUN0VMU0MyNjVSWSIsIm5hbWUiOiJrZWRnZSIsIm5hdHMiOnsicHViIjp7fSwic3ViIjp7fSwic3VicyI6LTEsImRhdGEiOi0xLCJwY"
    "Xlsb2FkIjotMSwidHlwZSI6InVzZXIiLCJ2ZXJzaW9uIjoyfSwiaWF0IjoxNzAwMDAwMDAwLCJpc3MiOiJBQlJEUFFUQTJMT1hYUkZMUFRWU0p"
    "YQVAzTkRKSkNUNE00T0xTSVlNVUFJSlhZWlFHUFEzQVpZUiIsImp0aSI6IllVRVNBRTU0TEVXRzVISk02Q0VZQ0lDVFJZUkpTNFdYUFpBQ0lBQ"
    "lJWM1NPWDRJRENJR0EifQ.cbXyuirjt23IfD5UW3vCdffdu_k1J9TgX1fQ_cBC30d0ksyRO-L-Aw_iWmY3FxUyEpekctd_7tbmSCApc_j-Cg";
constexpr char const* user_seed =
    "SUABH62WBUZVNEMHIIK2XTUUW56M4PRRKBB6S5VLBMPJZ3DSIZUFSJT3LM";
constexpr char const* user_key =
    "UD3UPV35ZZ4UUIWLHBOLW2AEQ3VNOKIMA2GYO34VA6TGRT7ELSC265RY";

class certificates {
public:
    certificates()
    {
        std::string pattern = (std::filesystem::temp_directory_path() / "kedge-certificates-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
        directory_ = pattern;
        authority("ca");
        authority("other");
        signed_by("ca", "server", "subjectAltName=DNS:nats.test");
        signed_by("ca", "client", "subjectAltName=DNS:kedge.test");
        signed_by("ca", "local", "subjectAltName=IP:127.0.0.1");
    }
    ~certificates() { std::filesystem::remove_all(directory_); }

    std::string path(std::string const& name) const { return (directory_ / name).string(); }
    std::string tls_config(std::string const& name, bool verify) const
    {
        return "tls { cert_file: \"" + path(name + ".pem") + "\", key_file: \"" + path(name + ".key") + "\", ca_file: \"" + path("ca.pem") +
               "\", verify: " + (verify ? "true" : "false") + " }\n";
    }

private:
    void authority(std::string const& name) const
    {
        test::run_program({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                           "/CN=" + name, "-keyout", path(name + ".key"), "-out", path(name + ".pem")});
    }
    void signed_by(std::string const& authority, std::string const& name, std::string const& extension) const
    {
        test::run_program({"openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=" + name, "-keyout",
                           path(name + ".key"), "-out", path(name + ".csr")});
        std::ofstream(path(name + ".ext")) << extension << '\n';
        test::run_program({"openssl", "x509", "-req", "-days", "2", "-in", path(name + ".csr"), "-CA", path(authority + ".pem"), "-CAkey",
                           path(authority + ".key"), "-CAcreateserial", "-extfile", path(name + ".ext"), "-out", path(name + ".pem")});
    }
    std::filesystem::path directory_;
};

std::string file_with(nats_world& world, std::string const& name, std::string const& text)
{
    auto const path = world.server().directory() / name;
    std::ofstream(path) << text;
    return path.string();
}

/// Linked, and can use JetStream.
void let_in(nats_world& world, settings const& set)
{
    bus_client client(world, world.connect(set));
    auto const linked = client.until_linked();
    for (auto const& each : client.all<link_failed>()) UNSCOPED_INFO(each.why);
    REQUIRE(linked);
    CHECK(client.ask_for<account_info>(backend_command::account{}).jetstream);
}

void kept_out(nats_world& world, settings const& set, std::string const& says)
{
    bus_client client(world, world.connect(set));
    REQUIRE(client.until([&] { return client.count<link_failed>() > 0 || client.linked() != 0; }));
    REQUIRE(client.linked() == 0);
    auto const why = client.all<link_failed>()[0].why;
    INFO(why);
    CHECK(why.find(says) != std::string::npos);
    CHECK(why.find(std::to_string(world.server().port())) != std::string::npos);
    CHECK(why.find('\n') == std::string::npos);
}

TEST_CASE("login with user and password, and what is said without")
{
    nats_world world({true, "authorization { user: kedge, password: secret }\n"});
    settings set;
    kept_out(world, set, "Authorization");
    set.user = "kedge";
    set.password_file = file_with(world, "password", "secret\n");
    let_in(world, set);
    set.password_file = file_with(world, "wrong", "guess\n");
    kept_out(world, set, "Authorization");
    set.password_file = "/nonexistent/password";
    kept_out(world, set, "cannot read /nonexistent/password");
}

TEST_CASE("login with a token")
{
    nats_world world({true, "authorization { token: t0ken }\n"});
    settings set;
    set.token_file = file_with(world, "token", "t0ken\n");
    let_in(world, set);
    set.token_file = file_with(world, "token2", "other\n");
    kept_out(world, set, "Authorization");
}

TEST_CASE("login with an nkey")
{
    nats_world world({true, std::string("authorization { users: [ { nkey: ") + user_key + " } ] }\n"});
    settings set;
    set.nkey_file = file_with(world, "seed", std::string("# of a test\n") + user_seed + "\n");
    let_in(world, set);
    set.nkey_file = file_with(world, "none", "hello\n");
    kept_out(world, set, "no nkey seed");
    auto const other = std::string(user_seed).replace(20, 1, "Y");
    set.nkey_file = file_with(world, "damaged", other + "\n");
    kept_out(world, set, "damaged");
}

TEST_CASE("nkey seeds")
{
    auto const good = parse_nkey_seed(user_seed);
    REQUIRE(std::holds_alternative<nkey>(good));
    CHECK(std::get<nkey>(good).public_key == user_key);
    for (auto const* text : {"", "SU", user_key, "SUAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "su"})
        CHECK(std::holds_alternative<std::string>(parse_nkey_seed(text)));
}

TEST_CASE("login with a .creds file")
{
    nats_world world({true, std::string("operator: ") + operator_jwt + "\nsystem_account: " + system_key + "\nresolver: MEMORY\nresolver_preload: { " + account_key +
                                ": " + account_jwt + ", " + system_key + ": " + system_jwt + " }\n"});
    settings set;
    set.credentials_file = file_with(world, "kedge.creds",
                                     std::string("-----BEGIN NATS USER JWT-----\n") + user_jwt + "\n------END NATS USER JWT------\n\n" +
                                         "-----BEGIN USER NKEY SEED-----\n" + user_seed + "\n------END USER NKEY SEED------\n");
    let_in(world, set);
    set.credentials_file.clear();
    kept_out(world, set, "Authorization");
    set.credentials_file = "/nonexistent/creds";
    kept_out(world, set, "cannot read /nonexistent/creds");
}

TEST_CASE("TLS: the authority, the name and the client's certificate are looked at")
{
    certificates const files;
    nats_world world({true, files.tls_config("server", true)});
    auto const address = "tls://127.0.0.1:" + std::to_string(world.server().port());
    settings set;
    set.servers = {address};
    set.ca_file = files.path("ca.pem");
    set.certificate_file = files.path("client.pem");
    set.key_file = files.path("client.key");
    set.expected_name = "nats.test";
    let_in(world, set);
    {
        // The server says that it wants TLS: "nats://" is enough.
        auto as_told = set;
        as_told.servers = {world.server().url()};
        let_in(world, as_told);
    }
    auto wrong = set;
    wrong.expected_name = "other.test";
    kept_out(world, wrong, "mismatch");
    wrong.expected_name.clear();  // the host of the address, which is not in the certificate
    kept_out(world, wrong, "mismatch");
    wrong = set;
    wrong.ca_file = files.path("other.pem");
    kept_out(world, wrong, "certificate");
    wrong.ca_file.clear();  // the system's
    kept_out(world, wrong, "certificate");
    wrong = set;
    wrong.certificate_file.clear();
    wrong.key_file.clear();
    kept_out(world, wrong, "");
    wrong = set;
    wrong.ca_file = files.path("server.key");
    kept_out(world, wrong, "cannot use " + wrong.ca_file);
    wrong = set;
    wrong.key_file = files.path("server.key");
    kept_out(world, wrong, "cannot use " + wrong.certificate_file);
}

TEST_CASE("TLS: an address may stand in the certificate, and a server without TLS is refused")
{
    certificates const files;
    nats_world world({true, files.tls_config("local", false)});
    settings set;
    set.servers = {"tls://127.0.0.1:" + std::to_string(world.server().port())};
    set.ca_file = files.path("ca.pem");
    let_in(world, set);
    nats_world plain;
    set.servers = {"tls://127.0.0.1:" + std::to_string(plain.server().port())};
    kept_out(plain, set, "offers no TLS");
}

/// Says that it is a NATS server that wants TLS, and then nothing more.
class stuck_server {
public:
    stuck_server() : listening_(::socket(AF_INET, SOCK_STREAM, 0))
    {
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof at;
        REQUIRE(::bind(listening_, reinterpret_cast<sockaddr const*>(&at), size) == 0);
        REQUIRE(::listen(listening_, 16) == 0);
        REQUIRE(::getsockname(listening_, reinterpret_cast<sockaddr*>(&at), &size) == 0);
        port_ = ntohs(at.sin_port);
        thread_ = std::thread([this] {
            constexpr std::string_view said = "INFO {\"server_id\":\"X\",\"version\":\"2.9.10\",\"headers\":true,\"max_payload\":1048576,\"tls_required\":true}\r\n";
            for (int each; (each = ::accept(listening_, nullptr, nullptr)) >= 0;) {
                (void)::send(each, said.data(), said.size(), MSG_NOSIGNAL);
                std::lock_guard const lock(mutex_);
                taken_.push_back(each);
            }
        });
    }
    ~stuck_server()
    {
        ::shutdown(listening_, SHUT_RDWR);
        thread_.join();
        ::close(listening_);
        for (auto const each : taken_) ::close(each);
    }
    std::string url() const { return "tls://127.0.0.1:" + std::to_string(port_); }
    /// How many connections the other side holds open.
    std::size_t open()
    {
        std::lock_guard const lock(mutex_);
        char byte = 0;
        std::erase_if(taken_, [&](int each) {
            for (;;) {
                auto const got = ::recv(each, &byte, 1, MSG_DONTWAIT);
                if (got > 0) continue;
                if (got < 0) return false;
                ::close(each);
                return true;
            }
        });
        return taken_.size();
    }

private:
    int listening_;
    std::uint16_t port_ = 0;
    std::mutex mutex_;
    std::vector<int> taken_;
    std::thread thread_;
};

TEST_CASE("TLS: a handshake that never ends costs no more than a few threads")
{
    certificates const files;
    stuck_server stuck;
    nats_world world;
    settings set;
    set.servers = {stuck.url()};
    set.ca_file = files.path("ca.pem");
    set.connect_ms = 100;
    {
        bus_client client(world, world.connect(set));
        auto const hang = [&] {
            auto const all = client.all<link_failed>();
            return std::any_of(all.begin(), all.end(), [](auto const& each) { return each.why.find("4 hang") != std::string::npos; });
        };
        REQUIRE(client.until(hang));
        CHECK(client.linked() == 0);
        CHECK(stuck.open() <= 5);  // one of them may be about to read the greeting
    }
}

TEST_CASE("TLS carries traffic, and a frozen server is noticed behind it")
{
    certificates const files;
    nats_world world({true, files.tls_config("local", false)});
    settings set;
    set.ca_file = files.path("ca.pem");
    bus_client client(world, world.connect(set));
    REQUIRE(client.until_linked());
    client.ask_for<jet_info>(backend_command::create_stream{{}, test_stream()});
    client.submit(backend_command::read{reader_id{1}, "CHAT", 1, 1000, 1024 * 1024});
    client.publish_many("chat.a", 5000);
    REQUIRE(client.until([&] { return client.count<acked>() == 5000 && client.read_count() == 5000; }));
    world.freeze();
    client.publish_many("chat.a", 5000, 5000);
    REQUIRE(client.until([&] { return client.linked() == 0; }));
    CHECK(client.count<refused>() == 5000);
    world.thaw();
    REQUIRE(client.until_linked(2));
    client.publish_many("chat.a", 10);
    REQUIRE(client.until([&] { return client.count<acked>() == 5010; }));
    auto const last = client.all<acked>().back().place;
    REQUIRE(client.until([&] { return client.read().back().place >= last; }));
    auto const read = client.read();
    for (std::size_t i = 0; i < read.size(); ++i) REQUIRE(read[i].place == i + 1);
}

TEST_CASE("nobody there, nobody's address, something else there")
{
    nats_world world;
    settings set;
    set.servers = {world.server().url()};
    world.kill();
    kept_out(world, set, "refused");
    world.start();
    world.freeze();
    auto quick = set;
    quick.connect_ms = 300;
    kept_out(world, quick, "says nothing");
    world.thaw();
    let_in(world, set);
    // A second server takes over when the first is gone.
    nats_world second;
    set.servers = {world.server().url(), second.server().url()};
    bus_client client(world, world.connect(set));
    REQUIRE(client.until_linked());
    CHECK(client.all<link_up>()[0].url == world.server().url());
    world.kill();
    REQUIRE(client.until_linked(2));
    CHECK(client.all<link_up>()[1].url == second.server().url());
}

TEST_CASE("a right that is missing is named at once")
{
    nats_world world({true, "authorization { users: [ { user: kedge, password: secret, permissions: { publish: { deny: "
                            "[\"$JS.API.STREAM.CREATE.>\", \"deny.>\", \"$JS.API.CONSUMER.CREATE.>\"] } } } ] }\n"});
    settings set;
    set.user = "kedge";
    set.password_file = file_with(world, "password", "secret\n");
    set.answer_ms = 1000;
    bus_client client(world, world.connect(set));
    REQUIRE(client.until_linked());
    auto const began = std::chrono::steady_clock::now();
    auto const what = client.ask(backend_command::create_stream{{}, test_stream()});
    REQUIRE(std::holds_alternative<problem>(what));
    CHECK(std::chrono::steady_clock::now() - began < std::chrono::milliseconds(900));
    INFO(std::get<problem>(what).why);
    CHECK(std::get<problem>(what).why.find("$JS.API.STREAM.CREATE.CHAT") != std::string::npos);
    CHECK_FALSE(std::get<problem>(what).away);
    client.submit(backend_command::read{reader_id{1}, "CHAT", 1, 100, 1000});
    REQUIRE(client.until([&] { return client.count<reader_ended>() == 1; }));
    CHECK(client.all<reader_ended>()[0].why.find("CONSUMER.CREATE") != std::string::npos);
    CHECK_FALSE(client.all<reader_ended>()[0].gone);
    client.publish("deny.a", "x");
    REQUIRE(client.until([&] { return client.count<refused>() == 1; }));
    auto const no = client.all<refused>()[0];
    INFO(no.why);
    CHECK(no.why.find("deny.a") != std::string::npos);
}

TEST_CASE("a JetStream domain")
{
    nats_world world({true, "jetstream { domain: hub }\n"});
    settings set;
    set.domain = "hub";
    bus_client client(world, world.connect(set));
    REQUIRE(client.until_linked());
    client.ask_for<jet_info>(backend_command::create_stream{{}, test_stream()});
    client.publish_many("chat.a", 100);
    client.submit(backend_command::read{reader_id{1}, "CHAT", 1, 100, 100'000});
    REQUIRE(client.until([&] { return client.count<acked>() == 100 && client.read_count() == 100; }));
    set.domain = "elsewhere";
    bus_client lost(world, world.connect(set));
    REQUIRE(lost.until_linked());
    CHECK_FALSE(lost.ask_for<account_info>(backend_command::account{}).jetstream);
}

TEST_CASE("a server without JetStream says so")
{
    nats_world world({false, {}});
    bus_client client(world);
    REQUIRE(client.until_linked());
    CHECK_FALSE(client.all<link_up>()[0].jetstream);
    CHECK_FALSE(client.ask_for<account_info>(backend_command::account{}).jetstream);
    auto const what = client.ask(backend_command::list_streams{});
    REQUIRE(std::holds_alternative<problem>(what));
    CHECK(std::get<problem>(what).why.find("JetStream") != std::string::npos);
}

TEST_CASE("services are found")
{
    nats_world world;
    bus_client service(world);
    bus_client client(world);
    REQUIRE(service.until_linked());
    REQUIRE(client.until_linked());
    service.submit(backend_command::subscribe{plain_id{1}, "$SRV.>"});
    service.ask_for<account_info>(backend_command::account{});
    client.submit(backend_command::find_services{token{777}, 300});
    REQUIRE(service.until([&] { return service.count<plain>() == 1; }));
    auto const asked = service.all<plain>()[0].what;
    CHECK(asked.subject == "$SRV.INFO");
    for (auto const* body : {R"({"name":"weather","id":"1","endpoints":[{"name":"now","subject":"weather.now"}]})",
                             R"({"name":"weather","id":"2","endpoints":[{"name":"now","subject":"weather.now"},{"subject":"weather.then"}]})",
                             R"({"name":"old","id":"3","subject":"old.one"})", "nonsense"}) {
        bus_message reply;
        reply.subject = asked.reply;
        reply.body = body;
        service.submit(backend_command::send{reply});
    }
    REQUIRE(client.until([&] { return client.count<answered>() == 1; }));
    auto const found = std::get<std::vector<bus_service>>(client.all<answered>()[0].what);
    REQUIRE(found.size() == 2);
    CHECK(found[0].name == "weather");
    CHECK(found[0].subjects == std::vector<std::string>{"weather.now", "weather.then"});
    CHECK(found[1].subjects == std::vector<std::string>{"old.one"});
}

}  // namespace
}  // namespace kedge::migration
