// SPDX-License-Identifier: Apache-2.0
// 07_results_and_exceptions: how a value comes back, and where an exception goes.
//
// To whoever waits: a future and a task_group throw it there. Where nobody waits, the queue decides: it ends the
// process with a line that names the queue (the default), or reports to a handler.
#include <wring/wring.h>

#include <atomic>
#include <cstdio>
#include <stdexcept>
#include <string>

namespace {

int parse(const std::string& text) { return std::stoi(text); }

template <class F>
bool throws(F&& function) {
  try {
    function();
  } catch (const std::invalid_argument&) {
    return true;
  }
  return false;
}

}  // namespace

int main() {
  std::atomic<int> reported{0};
  // [report]
  wring::workqueue queue{{.name = "parser",
                          .on_exception = wring::on_exception::report,
                          .on_error = [](std::exception_ptr, void* count) { ++*static_cast<std::atomic<int>*>(count); },
                          .error_context = &reported}};
  // [/report]

  // [future]
  wring::future<int> good = queue.submit_for_result([] { return parse("42"); });
  wring::future<int> bad = queue.submit_for_result([] { return parse("many"); });
  const int value = good.get();
  const bool thrown = throws([&] { bad.get(); });
  // [/future]

  // [group]
  wring::task_group lines{queue};
  for (const char* text : {"1", "two", "3"}) lines.run([text] { parse(text); });
  const bool first_of_group = throws([&] { lines.wait(); });
  // [/group]

  queue.submit([] { parse("nobody waits for this"); });
  queue.flush();
  std::printf("%d; %d thrown to who waits; %d reported\n", value, thrown + first_of_group, reported.load());
  return value == 42 && thrown && first_of_group && reported == 1 ? 0 : 1;
}
