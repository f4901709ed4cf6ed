#pragma once
/// Carries out what the core wants of an account store. On the thread of the store.

#include "router/core/actions.hpp"

namespace kedge {

account_result carry_out(account_store&, account_request const&);

}  // namespace kedge
