// SPDX-License-Identifier: Apache-2.0
// One of two sources whose static objects use wring; in this one a queue and its user are plain objects.
#include "lifecycle/static_use.h"

namespace wring::test {
namespace {

workqueue own_queue{{.name = "one", .ordered = true}};
const static_user user{own_queue, "one"};

}  // namespace
}  // namespace wring::test
