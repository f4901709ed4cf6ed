#include "router/store/sqlite/batch_run.hpp"

namespace kedge::sqlite {

namespace {

failure no_mirror() { return {error_code::bad_request, "the stream has no mirror"}; }

}  // namespace

void batch_run::operator()(store_request::put_mirror const& request)
{
    events_.failed(request.request, no_mirror());
}

void batch_run::operator()(store_request::remove_mirror const& request)
{
    events_.failed(request.request, no_mirror());
}

void batch_run::operator()(store_request::import_messages const& request)
{
    events_.failed(request.request, no_mirror());
}

void batch_run::operator()(store_request::read_waiting const& request)
{
    events_.failed(request.request, no_mirror());
}

void batch_run::operator()(store_request::read_placed const& request)
{
    events_.failed(request.request, no_mirror());
}

void batch_run::operator()(store_request::take_back const& request)
{
    events_.failed(request.request, no_mirror());
}

}  // namespace kedge::sqlite
