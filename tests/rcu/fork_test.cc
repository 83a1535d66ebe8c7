// SPDX-License-Identifier: Apache-2.0
// Forks during a grace period (WQ-U12), in a program that tells liburcu of them, as liburcu asks for.
#include "rcu/reader.h"
#include "support/forked.h"
#include "support/test_runtime.h"

#include <wring/rcu.h>

#include <gtest/gtest.h>

#include <unistd.h>

#include <atomic>
#include <optional>

namespace wring {
namespace {

using test::claims;
using test::in_forked_child;
using test::plug;
using test::reader;
using test::test_runtime;

// As in_forked_child(), with what liburcu wants to be told around a fork.
template <class Body>
int in_child_with_rcu(const Body& body) {
  const pid_t parent = ::getpid();
  ::urcu_bp_call_rcu_before_fork();
  ::urcu_bp_before_fork();
  const int status = in_forked_child([&](claims& c) {
    if (::getpid() == parent) return;
    ::urcu_bp_after_fork_child();
    ::urcu_bp_call_rcu_after_fork_child();
    body(c);
  });
  ::urcu_bp_after_fork_parent();
  ::urcu_bp_call_rcu_after_fork_parent();
  return status;
}

// WQ-54, WQ-U12. Method: one item is in its grace period, which a reader holds up, one cancelled in it, and one waits
// in a full queue.
TEST(rcu_fork, in_the_child_the_items_are_idle_and_can_be_used) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizers cannot fork a process whose threads allocate";
#endif
  test_runtime rt{{.cpus = 2}};
  workqueue queue{rt, {.name = "fork", .max_active = 1}};
  const pid_t parent = ::getpid();
  std::atomic<int> runs{0};
  std::atomic<int> runs_in_child{0};
  const auto count = [&] { (::getpid() == parent ? runs : runs_in_child).fetch_add(1); };
  rcu_work in_grace{count};
  rcu_work cancelled{count};
  rcu_work waiting{count};
  std::optional<plug> stopper{queue};
  EXPECT_TRUE(queue_rcu(queue, waiting));
  ::urcu_bp_barrier();
  std::optional<reader> holds{std::in_place};
  EXPECT_TRUE(queue_rcu(queue, in_grace));
  EXPECT_TRUE(queue_rcu(queue, cancelled));
  EXPECT_TRUE(cancelled.cancel());
  holds.reset();  // a fork waits for liburcu's thread, and that for the reader

  const int status = in_child_with_rcu([&](claims& c) {
    c.check(!in_grace.pending() && !cancelled.pending() && !waiting.pending(), "the parent's items are idle");
    ::urcu_bp_barrier();
    c.check(queue.flush() && runs_in_child.load() == 0, "and nothing of the parent runs");
    int expected = 0;
    for (rcu_work* item : {&in_grace, &cancelled, &waiting}) {
      c.check(queue_rcu(queue, *item), "an item of the parent can be queued");
      item->flush();
      c.check(runs_in_child.load() == ++expected, "and runs");
    }
    {
      rcu_work fresh{count};
      c.check(queue_rcu(queue, fresh), "so can a new one");
    }
  });
  EXPECT_EQ(status, 0);
  stopper.reset();
  in_grace.flush();
  waiting.flush();
  EXPECT_EQ(runs.load(), 2);
}

}  // namespace
}  // namespace wring
