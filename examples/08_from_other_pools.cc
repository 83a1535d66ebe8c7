// SPDX-License-Identifier: Apache-2.0
// 08_from_other_pools: three small jobs as std::async, asio::thread_pool and oneTBB do them, and as wring does.
//
// The old code is compiled where the other library is installed, and must come to the same result.
#include <wring/wring.h>

#include <cstdio>
#include <future>
#ifdef EXAMPLE_HAS_ASIO
#include <asio.hpp>
#endif
#ifdef EXAMPLE_HAS_TBB
#include <tbb/task_group.h>
#endif

// [group]
template <class Group>
int in_parts(Group&& group) {
  int a = 0, b = 0;
  group.run([&] { a = 40; });
  group.run([&] { b = 2; });
  group.wait();
  return a + b;
}
// [/group]

int main() {
  wring::workqueue queue{{.name = "jobs"}};
  const auto job = [] { return 42; };
  // [async]
  const int before = std::async(std::launch::async, job).get();
  const int now = queue.submit_for_result(job).get();
  // [/async]
  bool same = before == 42 && now == 42;

  int digits = 0;
  // [ordered]
  wring::workqueue ordered{{.name = "strand", .ordered = true}};
  for (int digit : {4, 2}) ordered.submit([&digits, digit] { digits = 10 * digits + digit; });
  ordered.flush();  // the queue goes on
  // [/ordered]
  same = same && digits == 42;
#ifdef EXAMPLE_HAS_ASIO
  digits = 0;
  // [strand]
  asio::thread_pool pool;
  auto strand = asio::make_strand(pool);
  for (int digit : {4, 2}) asio::post(strand, [&digits, digit] { digits = 10 * digits + digit; });
  pool.join();  // and that is the end of the pool
  // [/strand]
  same = same && digits == 42;
#endif
#ifdef EXAMPLE_HAS_TBB
  same = same && in_parts(tbb::task_group{}) == 42;
#endif
  same = same && in_parts(wring::task_group{queue}) == 42;
  std::puts(same ? "the same everywhere" : "NOT the same");
  return same ? 0 : 1;
}
