// SPDX-License-Identifier: Apache-2.0
// Walks the table of docs/reference/bad-input.md: each row names a call, a wrong argument and the answer, and here is a
// function that makes this call and says what was answered.
#include "support/forked.h"
#include "support/gate.h"
#include "support/test_runtime.h"

#include <wring/wring.h>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <grp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace wring {
namespace {

using namespace std::chrono_literals;
using test::eventually;
using test::gate;
using test::report_log;

constexpr unsigned no_cpu = 1'000'000;
constexpr auto min_ns = std::chrono::nanoseconds::min();
constexpr auto max_ns = std::chrono::nanoseconds::max();
constexpr auto year = std::chrono::hours{24 * 365};

// ---- what a call answered ----------------------------------------------------------------------------------

std::string name_of(const std::error_code& e) {
  const std::map<int, std::string> names{{EINVAL, "EINVAL"},   {ENODEV, "ENODEV"},        {ECANCELED, "ECANCELED"},
                                         {EDEADLK, "EDEADLK"}, {EAGAIN, "EAGAIN"},        {EBUSY, "EBUSY"},
                                         {EPERM, "EPERM"},     {EBADF, "EBADF"},          {ENOENT, "ENOENT"},
                                         {ENOSYS, "ENOSYS"},   {EOWNERDEAD, "EOWNERDEAD"}};
  const auto at = names.find(e.value());
  return at != names.end() ? at->second : std::to_string(e.value());
}

std::string name_of(const std::future_error& e) {
  if (e.code() == std::future_errc::no_state) return "no_state";
  if (e.code() == std::future_errc::broken_promise) return "broken_promise";
  if (e.code() == std::future_errc::future_already_retrieved) return "future_already_retrieved";
  if (e.code() == std::future_errc::promise_already_satisfied) return "promise_already_satisfied";
  return "?";
}

std::string told(bool b) { return b ? "true" : "false"; }

// The value that `call` returns, or what it throws.
template <class F>
std::string answer_of(const F& call) {
  try {
    if constexpr (std::is_void_v<std::invoke_result_t<const F&>>) {
      call();
      return "returned";
    } else if constexpr (std::is_same_v<std::invoke_result_t<const F&>, bool>) {
      return told(call());
    } else {
      return call();
    }
  } catch (const std::system_error& e) {
    return "system_error " + name_of(e.code()) + ": " + e.what();
  } catch (const std::future_error& e) {
    return "future_error " + name_of(e);
  } catch (const std::bad_function_call&) {
    return "bad_function_call";
  } catch (const std::exception& e) {
    return std::string{"exception: "} + e.what();
  }
}

// What the machine refuses is no answer to what was asked.
bool of_the_machine(const std::string& line) {
  return line.find("could not be bound") != std::string::npos || line.find("nice -20") != std::string::npos;
}

// Warnings and misuse, for whoever is told that they came. Outlives the runtime.
class ear {
 public:
  runtime_options wired(runtime_options o) {
    o.on_warning = [](const char* text, void* self) { static_cast<ear*>(self)->hears("; warning: ", text); };
    o.on_misuse = [](const char* text, void* self) { static_cast<ear*>(self)->hears("; misuse: ", text); };
    o.report_context = this;
    return o;
  }
  std::string heard() {
    std::string all;
    for (const std::string& line : log_.take()) all += line;
    return all;
  }
  std::size_t count(const std::string& text) { return log_.count(text); }

 private:
  void hears(const char* kind, const std::string& text) {
    if (!of_the_machine(text)) log_.add((kind + text).c_str());
  }
  report_log log_;
};

// What `body` returns, with a runtime and an ear of its own.
template <class F>
std::string with_runtime(const F& body, runtime_options options = {.cpus = 2}) {
  ear e;
  std::string answer;
  {
    runtime rt{e.wired(options)};
    const test::watchdog dog{[&rt] { return rt.describe(); }};
    answer = body(rt, e);
    rt.audit();
  }
  return answer + e.heard();
}

// As with_runtime(), with a queue.
template <class F>
std::string with_queue(const F& body, workqueue_options options = {}, runtime_options of_runtime = {.cpus = 2}) {
  options.name = "asked";
  return with_runtime(
      [&](runtime& rt, ear&) {
        workqueue queue{rt, options};
        return body(queue);
      },
      of_runtime);
}

// What `call` answers in a callback of the queue.
template <class F>
std::string from_callback(workqueue& queue, const F& call) {
  std::string answer;
  queue.submit([&] { answer = answer_of(call); });
  queue.drain();
  return answer;
}

// The answer of a row whose call needs a child that there cannot be.
const std::string no_child = "no child";

// What a forked child answers or prints, and how it ends.
template <class F>
std::string in_child(const F& body) {
#ifdef __SANITIZE_THREAD__  // which lets no forked child start threads
  return no_child;
#endif
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return "no pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    ::dup2(ends[1], 2);
    const std::string answer = answer_of(body);
    std::fprintf(stderr, "%s", answer.c_str());
    std::fflush(stderr);
    test::end_child(0);
  }
  ::close(ends[1]);
  std::string all;
  std::array<char, 4'096> part{};
  for (ssize_t n = 0; (n = ::read(ends[0], part.data(), part.size())) > 0;) {
    all.append(part.data(), static_cast<std::size_t>(n));
  }
  ::close(ends[0]);
  const int status = test::status_of(child);
  if (status == 1'000 + SIGABRT) return all + "; SIGABRT";
  return status == 0 ? all : all + "; status " + std::to_string(status);
}

// In a child whose default runtime has an ear.
template <class F>
std::string with_default(const F& body) {
  return in_child([&] {
    static ear e;
    runtime::configure_default(e.wired({.cpus = 2}));
    const std::string answer = answer_of(body);
    return answer + e.heard();
  });
}

class environment {
 public:
  environment(const char* name, const char* value) : name_{name} { ::setenv(name, value, 1); }
  ~environment() { ::unsetenv(name_); }
  environment(const environment&) = delete;
  environment& operator=(const environment&) = delete;

 private:
  const char* name_;
};

std::string runtime_of(runtime_options o) {
  return answer_of([&] { const runtime rt{o}; });
}

std::string queue_of(workqueue_options o) {
  return with_runtime([&](runtime& rt, ear&) {
    return answer_of([&] {
      const workqueue queue{rt, o};
      return "'" + queue.name() + "'";
    });
  });
}

std::string made_of(const std::error_code& e) { return "error " + name_of(e); }

// ---- the rows ----------------------------------------------------------------------------------------------

using wrong_call = std::function<std::string()>;
using table = std::map<std::string, wrong_call>;

constexpr runtime_options early{.cpus = 1, .topology = "core:1 pu:1", .start_later = true};

// As with_queue(), before start(), with one item in the queue, which is cancelled in the end.
template <class F>
std::string with_early_queue(const F& body, workqueue_options options = {}) {
  return with_queue(
      [&](workqueue& queue) {
        work pending{[] {}};
        queue.queue(pending);
        return body(queue, pending);
      },
      options, early);
}

void add_starts(table& t) {
  t["runtime::start() | it has started"] = [] {
    return with_runtime([](runtime& rt, ear&) { return answer_of([&] { rt.start(); }); });
  };
  t["runtime::start() | after a shutdown"] = [] {
    return with_runtime(
        [](runtime& rt, ear&) {
          rt.shutdown(1h);
          return answer_of([&] { rt.start(); });
        },
        early);
  };
  t["runtime::shutdown(limit) | before start(), with something queued"] = [] {
    return with_queue(
        [](workqueue& queue) {
          queue.submit([] {});
          return std::string{queue.owner().shutdown(1h).complete ? "complete" : "incomplete"};
        },
        {}, early);
  };
  t["workqueue::flush() | before start()"] = [] {
    return with_early_queue([](workqueue& queue, work&) { return told(queue.flush()); });
  };
  t["workqueue::drain() | before start()"] = [] {
    return with_early_queue([](workqueue& queue, work&) { return told(queue.drain()); });
  };
  t["~workqueue() | before start(), with something queued"] = [] {
    return with_runtime(
        [](runtime& rt, ear&) {
          int ran = 0;
          {
            workqueue{rt, {.name = "asked"}}.submit([&ran] { ++ran; });
          }
          return std::to_string(ran) + " ran";
        },
        early);
  };
  t["workqueue::run_on(cpu, f) | before start()"] = [] {
    return with_early_queue([](workqueue& queue, work&) { return answer_of([&] { queue.run_on(0, [] {}); }); },
                            {.per_cpu = true});
  };
  t["workqueue::run_on_each_cpu(f) | before start()"] = [] {
    return with_early_queue([](workqueue& queue, work&) { return answer_of([&] { queue.run_on_each_cpu([] {}); }); },
                            {.per_cpu = true});
  };
  t["work::flush() | pending, before start()"] = [] {
    return with_early_queue([](workqueue&, work& w) { return told(w.flush()); });
  };
  t["task_group::wait() | before start(), with children"] = [] {
    return with_early_queue([](workqueue& queue, work&) {
      task_group group{queue};
      group.run([] {});
      return answer_of([&] { group.wait(); });
    });
  };
  t["future::wait(), get() | before start()"] = [] {
    return with_early_queue([](workqueue& queue, work&) {
      future<int> result = queue.submit_for_result([] { return 1; });
      const std::string waited = answer_of([&] { result.wait(); });
      const std::string got = answer_of([&] { return std::to_string(result.get()); });
      queue.owner().start();
      return waited == got && result.get() == 1 ? got : "not alike";
    });
  };
}

void add_runtime_options(table& t) {
  // [rows]
  t["runtime(options) | cpus = 4097"] = [] { return runtime_of({.cpus = 4'097}); };
  t["runtime(options) | max_workers = 0"] = [] { return runtime_of({.max_workers = 0}); };
  t["runtime(options) | max_workers = 65001"] = [] { return runtime_of({.max_workers = 65'001}); };
  // [/rows]
  t["runtime(options) | stack_bytes = 1000"] = [] { return runtime_of({.stack_bytes = 1'000}); };
  t["runtime(options) | stack_bytes = 2^64 - 1"] = [] { return runtime_of({.stack_bytes = ~std::size_t{0}}); };
  t["runtime(options) | idle_workers_kept = 0"] = [] { return runtime_of({.idle_workers_kept = 0}); };
  t["runtime(options) | busy_workers_per_idle = 0"] = [] { return runtime_of({.busy_workers_per_idle = 0}); };
  t["runtime(options) | idle_timeout = 0"] = [] { return runtime_of({.idle_timeout = 0ms}); };
  t["runtime(options) | idle_timeout above a year"] = [] { return runtime_of({.idle_timeout = year + 1ms}); };
  t["runtime(options) | creation_retry = 0"] = [] { return runtime_of({.creation_retry = 0ms}); };
  t["runtime(options) | creation_retry above a year"] = [] { return runtime_of({.creation_retry = year + 1ms}); };
  t["runtime(options) | mayday_initial = 0"] = [] { return runtime_of({.mayday_initial = 0ms}); };
  t["runtime(options) | mayday_initial above a year"] = [] { return runtime_of({.mayday_initial = year + 1ms}); };
  t["runtime(options) | mayday_interval = 0"] = [] { return runtime_of({.mayday_interval = 0ms}); };
  t["runtime(options) | mayday_interval above a year"] = [] { return runtime_of({.mayday_interval = year + 1ms}); };
  t["runtime(options) | stall_floor negative"] = [] { return runtime_of({.stall_floor = -1ms}); };
  t["runtime(options) | stall_floor above a year"] = [] { return runtime_of({.stall_floor = year + 1ms}); };
  t["runtime(options) | unbound_cpus = \"0-\""] = [] { return runtime_of({.unbound_cpus = "0-"}); };
  t["runtime(options) | unbound_cpus = \"60000\""] = [] {
    return with_runtime([](runtime&, ear&) { return "made"; }, {.unbound_cpus = "60000"});
  };
  t["runtime(options) | default_scope = by_default"] = [] {
    return runtime_of({.default_scope = affinity_scope::by_default});
  };
  t["runtime(options) | cache_shard_size = 0"] = [] { return runtime_of({.cache_shard_size = 0}); };
  t["runtime(options) | replan_interval negative"] = [] { return runtime_of({.replan_interval = -1ms}); };
  t["runtime(options) | replan_interval above a year"] = [] { return runtime_of({.replan_interval = year + 1ms}); };
  t["runtime(options) | detect none of its values"] = [] { return runtime_of({.detect = detection{9}}); };
  t["runtime(options) | cpu_intensive_threshold negative"] = [] {
    return runtime_of({.cpu_intensive_threshold = -1us});
  };
  t["runtime(options) | cpu_intensive_threshold above a year"] = [] {
    return runtime_of({.cpu_intensive_threshold = std::chrono::microseconds::max()});
  };
  t["runtime(options) | watchdog_threshold negative"] = [] { return runtime_of({.watchdog_threshold = -1ms}); };
  t["runtime(options) | watchdog_threshold above a year"] = [] {
    return runtime_of({.watchdog_threshold = std::chrono::milliseconds::max()});
  };
  t["runtime(options) | panic_on_stall_time negative"] = [] { return runtime_of({.panic_on_stall_time = -1ms}); };
  t["runtime(options) | panic_on_stall_time above a year"] = [] {
    return runtime_of({.panic_on_stall_time = std::chrono::milliseconds::max()});
  };
  t["runtime(options) | WRING_CPUS=many"] = [] {
    const environment e{"WRING_CPUS", "many"};
    return with_runtime([](runtime&, ear&) { return "made"; }, {});
  };
  t["runtime(options) | WRING_DETECT=magic"] = [] {
    const environment e{"WRING_DETECT", "magic"};
    return with_runtime([](runtime&, ear&) { return "made"; });
  };
  t["runtime(options) | WRING_DEADLOCK_GRAPH=yes"] = [] {
    const environment e{"WRING_DEADLOCK_GRAPH", "yes"};
    return with_runtime([](runtime&, ear&) { return "made"; });
  };
  t["runtime::create(options) | as of the constructor"] = [] {
    return made_of(runtime::create({.max_workers = 0}).error());
  };
}

void add_runtime(table& t) {
  t["runtime::cpus() | topology = \"nonsense\""] = [] {
    return with_runtime([](runtime& rt, ear&) { return answer_of([&] { static_cast<void>(rt.cpus()); }); },
                        {.topology = "nonsense"});
  };
  t["runtime::default_instance() | configured with illegal options"] = [] {
    return in_child([] {
      runtime::configure_default({.max_workers = 0});
      runtime::default_instance();
    });
  };
  t["runtime::configure_default(options) | the default runtime exists"] = [] {
    return with_default([] {
      runtime::default_instance();
      return runtime::configure_default({});
    });
  };
  t["runtime::replan(cpus) | none"] = [] {
    return with_runtime([](runtime& rt, ear&) { return answer_of([&] { rt.replan(std::vector<unsigned>{}); }); });
  };
  t["runtime::replan(cpus) | a CPU that does not exist"] = [] {
    return with_runtime([](runtime& rt, ear&) { return answer_of([&] { rt.replan({0, no_cpu}); }); });
  };
  t["runtime::set_unbound_cpus(cpus) | none"] = [] {
    return with_runtime([](runtime& rt, ear&) { return answer_of([&] { rt.set_unbound_cpus({}); }); });
  };
  t["runtime::set_unbound_cpus(cpus) | a CPU that does not exist"] = [] {
    return with_runtime([](runtime& rt, ear&) { return answer_of([&] { rt.set_unbound_cpus({0, no_cpu}); }); });
  };
  t["runtime::set_isolated_cpus(cpus) | a CPU that does not exist"] = [] {
    return with_runtime([](runtime& rt, ear&) { return answer_of([&] { rt.set_isolated_cpus({0, no_cpu}); }); });
  };
  t["runtime::set_default_scope(scope) | by_default"] = [] {
    return with_runtime(
        [](runtime& rt, ear&) { return answer_of([&] { rt.set_default_scope(affinity_scope::by_default); }); });
  };
  t["runtime::replan() | WRING_CPUS=0"] = [] {
    return with_runtime(
        [](runtime& rt, ear&) {
          const environment e{"WRING_CPUS", "0"};
          return told(rt.replan() > 0);
        },
        {});
  };
  t["~runtime() | a queue of it exists"] = [] {
    alignas(workqueue) static std::array<unsigned char, sizeof(workqueue)> place;  // never destroyed
    return with_runtime([](runtime& rt, ear&) {
      ::new (static_cast<void*>(place.data())) workqueue{rt, {.name = "left"}};
      return "returned";
    });
  };
  t["~runtime() | from a callback of it"] = [] {
    static ear e;
    auto rt = std::make_unique<runtime>(e.wired({.cpus = 1}));
    alignas(workqueue) static std::array<unsigned char, sizeof(workqueue)> place;  // never destroyed, nor the runtime
    auto* const queue = ::new (static_cast<void*>(place.data())) workqueue{*rt, {.name = "inner"}};
    gate ended;
    queue->submit([&] {
      rt.reset();
      ended.open();
    });
    ended.wait();
    return "returned" + e.heard();
  };
  t["runtime::freeze_begin() | it is frozen"] = [] {
    return with_runtime([](runtime& rt, ear&) {
      rt.freeze_begin();
      return told(rt.freeze_begin());
    });
  };
  t["runtime::thaw() | it is not frozen"] = [] {
    return with_runtime([](runtime& rt, ear&) { return answer_of([&] { rt.thaw(); }); });
  };
  t["runtime::shutdown(limit) | negative, while a callback runs"] = [] {
    return with_queue([](workqueue& queue) {
      const test::plug held{queue};
      return queue.owner().shutdown(min_ns).complete ? "complete" : "incomplete";
    });
  };
  t["runtime::shutdown(limit) | the greatest there is"] = [] {
    return with_queue(
        [](workqueue& queue) { return queue.owner().shutdown(max_ns).complete ? "complete" : "incomplete"; });
  };
  t["runtime::shutdown(limit) | after a complete one"] = [] {
    return with_runtime([](runtime& rt, ear&) {
      rt.shutdown(1h);
      return rt.shutdown(1h).complete ? "complete" : "incomplete";
    });
  };
  t["runtime::shutdown(limit) | from a callback of the runtime"] = [] {
    return with_queue([](workqueue& queue) {
      return from_callback(queue, [&] { return queue.owner().shutdown(1h).complete ? "complete" : "incomplete"; });
    });
  };
  t["shutdown(limit) | there is no default runtime"] = [] {
    return in_child([] { return shutdown(min_ns).complete ? "complete" : "incomplete"; });
  };
  t["shutdown(limit) | from a callback of the default runtime"] = [] {
    return with_default([] {
      workqueue queue{{.name = "asked"}};
      return from_callback(queue, [] { return shutdown(1h).complete ? "complete" : "incomplete"; });
    });
  };
  t["all other calls of runtime | after a shutdown"] = [] {
    return with_runtime([](runtime& rt, ear&) {
      rt.shutdown(1h);
      rt.replan();
      rt.touch_watchdog();
      rt.freeze_begin();
      static_cast<void>(rt.freeze_busy());
      rt.thaw();
      static_cast<void>(rt.cpus());
      static_cast<void>(rt.stats());
      static_cast<void>(rt.describe());
      rt.audit();
      return "as ever";
    });
  };
}

void add_workqueue_options(table& t) {
  t["runtime::set_thresholds(values) | watchdog_threshold negative"] = [] {
    return with_runtime([](runtime& rt, ear&) {
      runtime_thresholds wrong = rt.thresholds();
      wrong.watchdog_threshold = -1ms;
      return answer_of([&] { rt.set_thresholds(wrong); });
    });
  };
  t["runtime::set_thresholds(values) | cpu_intensive_threshold above a year"] = [] {
    return with_runtime([](runtime& rt, ear&) {
      runtime_thresholds wrong = rt.thresholds();
      wrong.cpu_intensive_threshold = year + 1us;
      return answer_of([&] { rt.set_thresholds(wrong); });
    });
  };
  t["workqueue(options) | name null"] = [] { return queue_of({.name = {}}); };
  t["workqueue(options) | name of more than 31 characters"] = [] {
    return queue_of({.name = "0123456789012345678901234567890123456789"});
  };
  t["workqueue(options) | max_active = 2049"] = [] { return queue_of({.name = "q", .max_active = 2'049}); };
  t["workqueue(options) | ordered, max_active = 2"] = [] { return queue_of({.max_active = 2, .ordered = true}); };
  t["workqueue(options) | ordered, unmanaged"] = [] { return queue_of({.ordered = true, .unmanaged = true}); };
  t["workqueue(options) | ordered, per_cpu"] = [] { return queue_of({.ordered = true, .per_cpu = true}); };
  t["workqueue(options) | unmanaged, per_cpu"] = [] { return queue_of({.unmanaged = true, .per_cpu = true}); };
  t["workqueue(options) | high_priority, attributes.nice = 1"] = [] {
    return queue_of({.attributes = {.nice = 1}, .high_priority = true});
  };
  t["workqueue(options) | bh, max_active = 1"] = [] { return queue_of({.max_active = 1, .bh = true}); };
  t["workqueue(options) | bh, rescuer"] = [] { return queue_of({.bh = true, .rescuer = true}); };
  t["workqueue(options) | power_efficient, ordered"] = [] {
    return queue_of({.ordered = true, .power_efficient = true});
  };
  t["workqueue(options) | per_cpu, attributes"] = [] { return queue_of({.per_cpu = true, .attributes = {.nice = 1}}); };
  t["workqueue(options) | cpu_intensive without per_cpu"] = [] {
    return queue_of({.name = "q", .cpu_intensive = true});
  };
  t["workqueue(options) | on_exception none of its values"] = [] {
    return queue_of({.on_exception = static_cast<on_exception>(7)});
  };
  t["workqueue(options) | on_error without on_exception::report"] = [] {
    return in_child([] {
      workqueue queue{{.name = "q", .on_error = [](std::exception_ptr, void*) {}}};
      queue.submit([] { throw std::runtime_error{"seven"}; });
      queue.flush();
    });
  };
  t["workqueue(options) | on_error that throws"] = [] {
    return in_child([] {
      workqueue queue{{.name = "q", .on_exception = on_exception::report, .on_error = [](std::exception_ptr e, void*) {
                         std::rethrow_exception(std::move(e));
                       }}};
      queue.submit([] { throw std::runtime_error{"seven"}; });
      queue.flush();
    });
  };
  t["workqueue(options) | the runtime was shut down"] = [] {
    return with_runtime([](runtime& rt, ear&) {
      rt.shutdown(1h);
      return answer_of([&] { const workqueue queue{rt, {}}; });
    });
  };
  t["workqueue(options) | topology = \"nonsense\", attributes"] = [] {
    return with_runtime(
        [](runtime& rt, ear&) {
          return answer_of([&] { const workqueue queue{rt, {.attributes = {.scope = affinity_scope::numa}}}; });
        },
        {.topology = "nonsense"});
  };
  t["workqueue::create(options) | as of the constructor"] = [] {
    return with_runtime(
        [](runtime& rt, ear&) { return made_of(workqueue::create(rt, {.ordered = true, .unmanaged = true}).error()); });
  };
}

// What queue(item) answers while the queue is being drained.
std::string queued_while_drained(workqueue& queue) {
  test::plug held{queue};
  std::thread drains{[&] { queue.drain(); }};
  work w{[] {}};
  eventually([&] { return !queue.queue(w) || (w.cancel(), false); });
  held.pull();
  drains.join();
  return "false";
}

void add_queueing(table& t) {
  t["workqueue::queue(item) | it is pending"] = [] {
    return with_queue(
        [](workqueue& queue) {
          const test::plug held{queue};
          work w{[] {}};
          queue.queue(w);
          return told(queue.queue(w));
        },
        {.max_active = 1});
  };
  t["workqueue::queue(item) | it is disabled"] = [] {
    return with_queue([](workqueue& queue) {
      work w{[] {}};
      w.disable();
      return told(queue.queue(w));
    });
  };
  t["workqueue::queue(item) | the queue is being drained"] = [] { return with_queue(queued_while_drained); };
  t["workqueue::queue(item) | the runtime was shut down"] = [] {
    return with_queue([](workqueue& queue) {
      queue.owner().shutdown(1h);
      work w{[] {}};
      return told(queue.queue(w));
    });
  };
  t["workqueue::queue_delayed(item, delay) | negative"] = [] {
    return with_queue([](workqueue& queue) {
      delayed_work w{[] {}};
      const bool taken = queue.queue_delayed(w, min_ns);
      w.flush();
      return told(taken && !w.pending());
    });
  };
  t["workqueue::queue_delayed(item, delay) | the greatest there is"] = [] {
    return with_queue([](workqueue& queue) {
      delayed_work w{[] {}};
      const bool taken = queue.queue_delayed(w, max_ns);
      return told(taken && w.cancel());
    });
  };
  t["workqueue::queue_delayed(item, delay) | it is pending"] = [] {
    return with_queue([](workqueue& queue) {
      delayed_work w{[] {}};
      queue.queue_delayed(w, 1h);
      return told(queue.queue_delayed(w, 0ns));
    });
  };
  t["workqueue::queue_delayed(item, delay) | the queue is destroyed before it comes due"] = [] {
    return with_runtime([](runtime& rt, ear& e) {
      delayed_work w{[] {}};
      {
        workqueue queue{rt, {.name = "gone"}};
        queue.queue_delayed(w, 1ms);
      }
      eventually([&] { return e.count("came due") != 0 || !w.pending(); });
      w.cancel_sync();
      return "dropped";
    });
  };
  t["workqueue::modify(item, delay) | negative"] = [] {
    return with_queue([](workqueue& queue) {
      delayed_work w{[] {}};
      queue.queue_delayed(w, 1h);
      const bool was_pending = queue.modify(w, min_ns);
      queue.flush();
      return told(was_pending && !w.pending());
    });
  };
  t["workqueue::modify(item, delay) | it is disabled"] = [] {
    return with_queue([](workqueue& queue) {
      delayed_work w{[] {}};
      w.disable();
      const bool was_pending = queue.modify(w, 0ns);
      return told(was_pending || w.pending());
    });
  };
  t["workqueue::submit(f) | an empty std::function, on_exception::report"] = [] {
    return with_queue(
        [](workqueue& queue) {
          const bool taken = queue.submit(std::function<void()>{});
          queue.flush();
          return told(taken);
        },
        {.on_exception = on_exception::report});
  };
  t["workqueue::submit(f) | the runtime was shut down"] = [] {
    return with_queue([](workqueue& queue) {
      queue.owner().shutdown(1h);
      return told(queue.submit([] {}));
    });
  };
  t["workqueue::submit_for_result(f) | an empty std::function"] = [] {
    return with_queue(
        [](workqueue& queue) { return answer_of([&] { queue.submit_for_result(std::function<void()>{}).get(); }); });
  };
  t["workqueue::submit_for_result(f) | the runtime was shut down"] = [] {
    return with_queue([](workqueue& queue) {
      queue.owner().shutdown(1h);
      return answer_of([&] { queue.submit_for_result([] {}).get(); });
    });
  };
}

constexpr runtime_options one_cpu{.topology = "pu:1"};

void add_places(table& t) {
  t["workqueue::queue_on(cpu, item) | a CPU that does not exist"] = [] {
    return with_queue(
        [](workqueue& queue) {
          work w{[] {}};
          return told(queue.queue_on(no_cpu, w));
        },
        {.per_cpu = true}, one_cpu);
  };
  t["workqueue::queue_on(cpu, item) | any CPU, of a queue that is not divided"] = [] {
    return with_queue([](workqueue& queue) {
      work w{[] {}};
      const bool taken = queue.queue_on(no_cpu, w);
      return told(taken);
    });
  };
  t["workqueue::queue_delayed_on(cpu, item, delay) | a CPU that does not exist"] = [] {
    return with_queue(
        [](workqueue& queue) {
          delayed_work w{[] {}};
          return told(queue.queue_delayed_on(no_cpu, w, 1ms));
        },
        {.per_cpu = true}, one_cpu);
  };
  t["workqueue::submit_on(cpu, f) | a CPU that does not exist"] = [] {
    return with_queue([](workqueue& queue) { return told(queue.submit_on(no_cpu, [] {})); }, {.per_cpu = true},
                      one_cpu);
  };
  t["workqueue::queue_near(node, item) | a node that does not exist"] = [] {
    return with_queue(
        [](workqueue& queue) {
          work w{[] {}};
          return told(queue.queue_near(no_cpu, w));
        },
        {.attributes = {.scope = affinity_scope::numa}}, one_cpu);
  };
  t["workqueue::queue_near(node, item) | of a per_cpu queue"] = [] {
    return with_queue(
        [](workqueue& queue) {
          work w{[] {}};
          return told(queue.queue_near(0, w));
        },
        {.per_cpu = true}, one_cpu);
  };
  t["workqueue::run_on(cpu, f) | a CPU that does not exist"] = [] {
    return with_queue([](workqueue& queue) { return answer_of([&] { queue.run_on(no_cpu, [] {}); }); },
                      {.per_cpu = true}, one_cpu);
  };
  t["workqueue::run_on(cpu, f) | of a queue that is not per_cpu"] = [] {
    return with_queue([](workqueue& queue) { return answer_of([&] { queue.run_on(0, [] {}); }); });
  };
  t["workqueue::run_on(cpu, f) | the runtime was shut down"] = [] {
    return with_queue(
        [](workqueue& queue) {
          queue.owner().shutdown(1h);
          return answer_of([&] { queue.run_on(0, [] {}); });
        },
        {.per_cpu = true}, one_cpu);
  };
  t["workqueue::run_on(cpu, f) | from the one callback that may run there"] = [] {
    return with_queue([](workqueue& queue) { return from_callback(queue, [&] { queue.run_on(0, [] {}); }); },
                      {.max_active = 1, .per_cpu = true}, one_cpu);
  };
  t["workqueue::run_on_each_cpu(f) | of a queue that is not per_cpu"] = [] {
    return with_queue([](workqueue& queue) { return answer_of([&] { queue.run_on_each_cpu([] {}); }); });
  };
  t["workqueue::run_on_each_cpu(f) | the runtime was shut down"] = [] {
    return with_queue(
        [](workqueue& queue) {
          queue.owner().shutdown(1h);
          return answer_of([&] { queue.run_on_each_cpu([] {}); });
        },
        {.per_cpu = true}, one_cpu);
  };
  t["workqueue::run_on_each_cpu(f) | from the one callback that may run there"] = [] {
    return with_queue([](workqueue& queue) { return from_callback(queue, [&] { queue.run_on_each_cpu([] {}); }); },
                      {.max_active = 1, .per_cpu = true}, one_cpu);
  };
}

void add_limits_and_waits(table& t) {
  t["workqueue::flush() | from a callback of the queue"] = [] {
    return with_queue([](workqueue& queue) { return from_callback(queue, [&] { return queue.flush(); }); });
  };
  t["workqueue::flush() | of a queue without a rescuer, from a callback of one with a rescuer"] = [] {
    return with_queue([](workqueue& queue) {
      workqueue rescued{queue.owner(), {.name = "r", .rescuer = true}};
      return from_callback(rescued, [&] { return queue.flush(); });
    });
  };
  t["workqueue::drain() | from a callback of the queue"] = [] {
    return with_queue([](workqueue& queue) { return from_callback(queue, [&] { return queue.drain(); }); });
  };
  t["~workqueue() | from a callback of the queue"] = [] {
    return with_runtime([](runtime& rt, ear&) {
      auto queue = std::make_unique<workqueue>(rt, workqueue_options{.name = "asked"});
      gate ended;
      queue->submit([&] {
        queue.reset();
        ended.open();
      });
      ended.wait();
      eventually([&] { return rt.stats().pools[0].idle == rt.stats().pools[0].workers; });
      return "returned";
    });
  };
  const auto answer_to = [](const workqueue_attributes& a, const workqueue_options& options = {}) {
    return with_queue([&](workqueue& queue) { return answer_of([&] { queue.set_attributes(a); }); }, options, one_cpu);
  };
  t["workqueue::set_attributes(a) | scope none of its values"] = [=] {
    return answer_to({.scope = static_cast<affinity_scope>(99)});
  };
  t["workqueue::set_attributes(a) | nice = 20"] = [=] { return answer_to({.nice = 20}); };
  t["workqueue::set_attributes(a) | cpus with one that does not exist"] = [=] {
    return answer_to({.cpus = {0, no_cpu}});
  };
  t["workqueue::set_attributes(a) | cpus of which none may be used"] = [] {
    return with_queue(
        [](workqueue& queue) {
          runtime& rt = queue.owner();
          const unsigned last = rt.cpus().back().id;
          rt.set_unbound_cpus({rt.cpus().front().id});
          queue.set_attributes({.cpus = {last}});
          bool ran = false;
          queue.submit([&] { ran = true; });
          queue.flush();
          return told(ran);
        },
        {}, {.topology = "node:2 pu:1"});
  };
  t["workqueue::set_attributes(a) | of a per_cpu queue"] = [=] { return answer_to({.nice = 1}, {.per_cpu = true}); };
  t["workqueue::set_attributes(a) | the runtime was shut down"] = [] {
    return with_queue([](workqueue& queue) {
      queue.owner().shutdown(1h);
      return answer_of([&] { queue.set_attributes({.nice = 1}); });
    });
  };
  t["workqueue::set_max_active(n) | 0"] = [] {
    return with_queue([](workqueue& queue) { return told(queue.set_max_active(0)); });
  };
  t["workqueue::set_max_active(n) | 2049"] = [] {
    return with_queue([](workqueue& queue) { return told(queue.set_max_active(2'049)); });
  };
  t["workqueue::set_max_active(n) | of a bh queue"] = [] {
    return with_queue([](workqueue& queue) { return told(queue.set_max_active(2)); }, {.bh = true});
  };
  t["workqueue::set_max_active(n) | of an ordered queue"] = [] {
    return with_queue([](workqueue& queue) { return told(queue.set_max_active(2)); }, {.ordered = true});
  };
  t["workqueue::set_min_active(n) | above max_active"] = [] {
    return with_queue(
        [](workqueue& queue) { return told(queue.set_min_active(100) && queue.stats().max_active == 10); },
        {.max_active = 10, .attributes = {.scope = affinity_scope::numa}}, one_cpu);
  };
  t["workqueue::set_min_active(n) | of an ordered queue"] = [] {
    return with_queue([](workqueue& queue) { return told(queue.set_min_active(2)); }, {.ordered = true});
  };
  t["workqueue::set_min_active(n) | of a per_cpu queue"] = [] {
    return with_queue([](workqueue& queue) { return told(queue.set_min_active(2)); }, {.per_cpu = true}, one_cpu);
  };
}

// What `call(item)` answers in the item's own callback.
template <class Item, class F>
std::string from_itself(const F& call, workqueue_options options = {}) {
  return with_queue(
      [&](workqueue& queue) {
        struct object {
          const F& call;
          std::string answer;
          Item item{[this] { answer = answer_of([this] { return call(item); }); }};
        } o{call, {}};
        queue.queue(o.item);
        queue.flush();
        return o.answer;
      },
      options);
}

std::string told(const cancel_result& r) { return r.ended ? "ended" : "not ended"; }

void add_items(table& t) {
  t["work::cancel() | it is not pending"] = [] {
    work w{[] {}};
    return told(w.cancel());
  };
  t["work::cancel_sync() | from its own callback"] = [] {
    return from_itself<work>([](work& w) { return w.cancel_sync(); });
  };
  t["work::cancel_sync_for(limit) | from its own callback"] = [] {
    return from_itself<work>([](work& w) { return told(w.cancel_sync_for(1h)); });
  };
  t["work::cancel_sync_for(limit) | negative, while the callback runs"] = [] {
    return with_queue([](workqueue& queue) {
      gate entered;
      gate leave;
      work w{[&] {
        entered.open();
        const blocking_scope scope;
        leave.wait();
      }};
      queue.queue(w);
      entered.wait();
      const cancel_result r = w.cancel_sync_for(min_ns);
      leave.open();
      return told(r);
    });
  };
  t["work::cancel_sync_for(limit) | the greatest there is"] = [] {
    return with_queue([](workqueue& queue) {
      work w{[] {}};
      queue.queue(w);
      return told(w.cancel_sync_for(max_ns));
    });
  };
  t["work::disable() | for the 65536th time"] = [] {
    return with_queue([](workqueue& queue) {
      work w{[] {}};
      queue.queue(w);
      queue.flush();
      for (int i = 0; i < 65'535; ++i) w.disable();
      return told(w.disable());
    });
  };
  t["work::disable_sync() | from its own callback"] = [] {
    return from_itself<work>([](work& w) { return w.disable_sync(); });
  };
  t["work::enable() | it is not disabled"] = [] {
    return with_queue([](workqueue& queue) {
      work w{[] {}};
      queue.queue(w);
      queue.flush();
      return told(w.enable());
    });
  };
  t["work::enable() | it is not disabled, and was never queued"] = [] {
    return in_child([] {
      work w{[] {}};
      return w.enable();
    });
  };
  t["work::flush() | from its own callback"] = [] { return from_itself<work>([](work& w) { return w.flush(); }); };
  t["work::flush() | pending, from a callback of its ordered queue"] = [] {
    return with_queue(
        [](workqueue& queue) {
          work later{[] {}};
          return from_callback(queue, [&] {
            queue.queue(later);
            return later.flush();
          });
        },
        {.ordered = true});
  };
  t["work::flush() | never queued"] = [] {
    work w{[] {}};
    return told(w.flush());
  };
  t["~work() | from its own callback"] = [] {
    return with_queue([](workqueue& queue) {
      auto owned = std::make_unique<std::optional<work>>();
      test::counter ended;
      owned->emplace([&] {
        owned->reset();
        ended.add();
      });
      queue.queue(**owned);
      ended.wait_for(1);
      queue.flush();
      return "returned";
    });
  };
  t["work::find_run() | it does not run"] = [] {
    const work w{[] {}};
    return w.find_run() ? "some" : "none";
  };
  t["delayed_work::cancel_sync(), disable_sync(), flush() | from its own callback"] = [] {
    return from_itself<delayed_work>([](delayed_work& w) { return w.cancel_sync() || w.disable_sync() || w.flush(); });
  };
  t["delayed_work::cancel_sync_for(limit) | from its own callback"] = [] {
    return from_itself<delayed_work>([](delayed_work& w) { return told(w.cancel_sync_for(max_ns)); });
  };
  t["delayed_work::enable() | it is not disabled"] = [] {
    return with_queue([](workqueue& queue) {
      delayed_work w{[] {}};
      queue.queue(w);
      queue.flush();
      return told(w.enable());
    });
  };
  t["current_work() | outside of a callback"] = [] { return current_work() == nullptr ? "null" : "some"; };
  const auto described = [](const char* text) {
    return with_queue([text](workqueue& queue) {
      return from_callback(queue, [&] {
        set_worker_description("before");
        set_worker_description(text);
        std::string all;
        for (const worker_stats& w : queue.owner().stats().workers) all += "'" + w.description + "' ";
        return all;
      });
    });
  };
  t["set_worker_description(text) | null"] = [described] { return described(nullptr); };
  t["set_worker_description(text) | more than 31 characters"] = [described] {
    return described("0123456789012345678901234567890123456789");
  };
  t["set_worker_description(text) | outside of a callback"] = [] {
    return answer_of([] { set_worker_description("nobody"); });
  };
}

void add_groups(table& t) {
  t["task_group::run(f) | the runtime was shut down"] = [] {
    return with_queue([](workqueue& queue) {
      queue.owner().shutdown(1h);
      task_group group{queue};
      return told(group.run([] {}));
    });
  };
  t["task_group::run(f) | an empty std::function"] = [] {
    return with_queue([](workqueue& queue) {
      task_group group{queue};
      group.run(std::function<void()>{});
      return answer_of([&] { group.wait(); });
    });
  };
  t["task_group::wait() | from a child of the group"] = [] {
    return with_queue([](workqueue& queue) {
      task_group group{queue};
      std::string answer;
      group.run([&] { answer = answer_of([&] { group.wait(); }); });
      group.wait();
      return answer;
    });
  };
  t["task_group::wait() | from a child of another group that a child waits for"] = [] {
    return with_queue(
        [](workqueue& queue) {
          task_group group{queue};
          std::string answer;
          group.run([&] {
            task_group other{queue};
            other.run([&] { answer = answer_of([&] { group.wait(); }); });
            other.wait();
          });
          group.wait();
          return answer;
        },
        {.max_active = 1});
  };
  t["~task_group() | from a child of the group"] = [] {
    return in_child([] {
      workqueue queue{{.name = "asked"}};
      auto group = std::make_unique<task_group>(queue);
      task_group* const its = group.get();
      its->run([&] { group.reset(); });
      queue.flush();
    });
  };
  t["~task_group() | an exception that nobody asked for"] = [] {
    return with_queue([](workqueue& queue) {
      {
        task_group group{queue};
        group.run([] { throw std::runtime_error{"seven"}; });
      }
      return "returned";
    });
  };
}

void add_values(table& t) {
  t["future::ready(), wait(), wait_for(timeout), get() | it is not valid"] = [] {
    future<int> f;
    std::set<std::string> all{answer_of([&] { return f.ready(); }), answer_of([&] { f.wait(); }),
                              answer_of([&] { return f.wait_for(1ms); }), answer_of([&] { f.get(); })};
    return all.size() == 1 ? *all.begin() : "not all the same";
  };
  t["future::get() | for the second time"] = [] {
    return with_queue([](workqueue& queue) {
      future<int> f = queue.submit_for_result([] { return 1; });
      f.get();
      return answer_of([&] { f.get(); });
    });
  };
  t["future::get() | the promise is gone"] = [] {
    future<int> f;
    {
      const promise<int> p;
      f = p.get_future();
    }
    return answer_of([&] { f.get(); });
  };
  t["future::wait_for(timeout) | negative"] = [] {
    const promise<int> p;
    const future<int> f = p.get_future();
    return told(f.wait_for(min_ns));
  };
  t["future::wait_for(timeout) | the greatest there is"] = [] {
    return with_queue([](workqueue& queue) { return told(queue.submit_for_result([] {}).wait_for(max_ns)); });
  };
  t["promise::get_future() | for the second time"] = [] {
    const promise<int> p;
    static_cast<void>(p.get_future());
    return answer_of([&] { static_cast<void>(p.get_future()); });
  };
  t["promise::set_from(f) | for the second time"] = [] {
    promise<int> p;
    auto f = [] { return 1; };
    p.set_from(f);
    return answer_of([&] { p.set_from(f); });
  };
  t["promise::get_future(), set_from(f) | it was moved from"] = [] {
    promise<int> p;
    const promise<int> other{std::move(p)};
    auto f = [] { return 1; };
    // NOLINTNEXTLINE(bugprone-use-after-move): that is the question.
    std::set<std::string> all{answer_of([&] { static_cast<void>(p.get_future()); }), answer_of([&] { p.set_from(f); })};
    return all.size() == 1 ? *all.begin() : "not all the same";
  };
  t["result::value(), *, -> | there is an error"] = [] {
    result<std::string> r{std::make_error_code(std::errc::no_such_device)};
    std::set<std::string> all{answer_of([&] { r.value(); }), answer_of([&] { *r; }), answer_of([&] { r->size(); })};
    return all.size() == 1 ? *all.begin() : "not all the same";
  };
  t["result(error) | an error_code that is no error"] = [] { return made_of(result<int>{std::error_code{}}.error()); };
}

void add_scopes_and_system(table& t) {
  t["blocking_scope() | left open when the callback returns"] = [] {
    return with_queue([](workqueue& queue) {
      std::optional<blocking_scope> scope;
      queue.submit([&] { scope.emplace(); });
      queue.flush();
      return "returned";
    });
  };
  t["blocking_scope() | outside of a callback"] = [] { return answer_of([] { const blocking_scope scope; }); };
  t["~nonblocking_scope() | in another thread"] = [] {
    std::unique_ptr<nonblocking_scope> scope;
    bool active = true;
    std::thread{[&] { scope = std::make_unique<nonblocking_scope>(); }}.join();
    std::thread{[&] {
      scope.reset();
      active = nonblocking_scope::active();
    }}.join();
    return told(active);
  };
  t["create_workqueue(name, runtime), create_freezable_workqueue, create_singlethread_workqueue | the runtime was shut "
    "down"] = [] {
    return with_runtime([](runtime& rt, ear&) {
      rt.shutdown(1h);
      std::set<std::string> answers;
      for (const auto& create : {create_workqueue, create_freezable_workqueue, create_singlethread_workqueue}) {
        answers.insert(answer_of([&] { const workqueue queue = create("old", rt); }));
      }
      return answers.size() == 1 ? *answers.begin() : "not the same";
    });
  };
  t["system_queue(kind, runtime) | kind = 10"] = [] {
    return with_runtime(
        [](runtime& rt, ear&) { return answer_of([&] { system_queue(static_cast<system_kind>(10), rt); }); });
  };
  t["system_queue(runtime) | it was shut down"] = [] {
    return with_runtime([](runtime& rt, ear&) {
      rt.shutdown(1h);
      return answer_of([&] { system_queue(rt); });
    });
  };
  t["system_queue(runtime) | the default runtime's options are illegal"] = [] {
    return in_child([] {
      runtime::configure_default({.max_workers = 0});
      system_queue();
    });
  };
  t["schedule(item) | it is pending, or disabled"] = [] {
    return with_default([] {
      work w{[] {}};
      w.disable();
      return schedule(w);
    });
  };
  t["schedule_on(cpu, item) | a CPU that does not exist"] = [] {
    return with_default([] {
      work w{[] {}};
      return schedule_on(no_cpu, w);
    });
  };
  t["schedule_delayed(item, delay) | negative"] = [] {
    return with_default([] {
      delayed_work w{[] {}};
      return schedule_delayed(w, min_ns);
    });
  };
  t["schedule_delayed_on(cpu, item, delay) | a CPU that does not exist"] = [] {
    return with_default([] {
      delayed_work w{[] {}};
      return schedule_delayed_on(no_cpu, w, 1ms);
    });
  };
  t["run_on_cpu(cpu, f) | a CPU that does not exist"] = [] { return with_default([] { run_on_cpu(no_cpu, [] {}); }); };
  t["run_on_each_cpu(f) | the default runtime was shut down"] = [] {
    return with_default([] {
      system_queue();
      shutdown(1h);
      run_on_each_cpu([] {});
    });
  };
  t["execute_in_process_context(f) | in a nonblocking_scope, the default runtime was shut down"] = [] {
    return with_default([] {
      system_queue();
      shutdown(1h);
      const nonblocking_scope scope;
      return execute_in_process_context([] {});
    });
  };
  t["execute_in_process_context(f) | an empty std::function"] = [] {
    return answer_of([] { return execute_in_process_context(std::function<void()>{}); });
  };
}

// ---- calls that block ---------------------------------------------------------------------------------------

// As with_queue(), with a pool.
template <class F>
std::string with_pool(const F& body, io_pool_options options = {}) {
  options.name = "asked";
  return with_runtime([&](runtime& rt, ear&) {
    io_pool pool{rt, options};
    return body(pool);
  });
}

std::string pool_of(const io_pool_options& o) {
  return with_runtime([&](runtime& rt, ear&) {
    return answer_of([&] {
      const io_pool pool{rt, o};
      return "'" + pool.stats().name + "'";
    });
  });
}

// What `call(io_call&)` answers in an item of the pool.
template <class F>
std::string from_item(io_pool& pool, const F& call) {
  return pool.submit_for_result({}, [&](io_call& c) { return answer_of([&] { return call(c); }); }).get();
}

// What `call()` answers while an item of the pool runs that does not end by itself.
template <class F>
std::string while_an_item_runs(io_pool& pool, const F& call) {
  gate entered;
  gate leave;
  pool.submit({.tag = &leave}, [&](io_call& c) {
    entered.open();
    c.interruptible([&] { leave.wait(); });
  });
  entered.wait();
  std::string answer = answer_of(call);
  leave.open();
  pool.end(max_ns);
  return answer;
}

std::string told(io_cancel c) {
  switch (c) {
    case io_cancel::done: return "done";
    case io_cancel::running: return "running";
    case io_cancel::not_found: break;
  }
  return "not_found";
}

// "false, told ECANCELED"
std::string submitted(io_pool& pool, const io_item_options& options = {}) {
  std::error_code error;
  const bool taken = pool.submit(
      options, [] {}, [&error](std::error_code e) { error = e; });
  pool.end(max_ns);  // so it is over
  return told(taken) + ", told " + name_of(error);
}

std::string error_of(long result) {
  return "-" + name_of(std::error_code{static_cast<int>(-result), std::system_category()});
}

std::string identity_of(const identity_options& o) {
  result<identity> made = identity::make(o);
  return made ? made->describe() : made_of(made.error());
}

// With a descriptor of that file.
std::string identity_of(const char* path, int flags, int identity_options::*field) {
  const int fd = ::open(path, flags | O_CLOEXEC);
  identity_options o;
  o.*field = fd;
  std::string answer = identity_of(o);
  ::close(fd);
  return answer;
}

// The process of a child that may become nobody else.
void be_nobody() {
  constexpr gid_t nobody = 65'534;
  if (::geteuid() != 0) return;
  if (::setgroups(0, nullptr) != 0 || ::setresgid(nobody, nobody, nobody) != 0 ||
      ::setresuid(nobody, nobody, nobody) != 0) {
    throw std::runtime_error{"the child is still root"};
  }
}

void only_count(int) {}

void add_io_pool_options(table& t) {
  // Asked before any other row makes a pool: the process chooses its signal once.
  std::string refused = in_child([] {
    ::signal(SIGRTMAX - 3, only_count);
    const io_pool pool{{.name = "asked"}};
  });
  t["io_pool(options) | interrupt_signal that the program handles, in the first pool of the process"] = [refused] {
    return refused;
  };
  t["io_pool(options) | bounded = 0"] = [] { return pool_of({.bounded = 0}); };
  t["io_pool(options) | bounded = 32769"] = [] { return pool_of({.bounded = 32'769}); };
  t["io_pool(options) | unbounded = 0"] = [] { return pool_of({.unbounded = 0}); };
  t["io_pool(options) | unbounded = 32769"] = [] { return pool_of({.unbounded = 32'769}); };
  t["io_pool(options) | queue_size = 0"] = [] { return pool_of({.queue_size = 0}); };
  t["io_pool(options) | hard_cap = 0"] = [] { return pool_of({.hard_cap = 0}); };
  t["io_pool(options) | hard_cap = 32769"] = [] { return pool_of({.hard_cap = 32'769}); };
  t["io_pool(options) | idle_timeout = 0"] = [] { return pool_of({.idle_timeout = 0ms}); };
  t["io_pool(options) | idle_timeout above a year"] = [] { return pool_of({.idle_timeout = year + 1ms}); };
  t["io_pool(options) | creation none of its values"] = [] {
    return pool_of({.creation = static_cast<io_creation>(7)});
  };
  t["io_pool(options) | profile none of its values"] = [] { return pool_of({.profile = static_cast<io_profile>(7)}); };
  t["io_pool(options) | profile node, and creation by_owner"] = [] {
    return pool_of({.creation = io_creation::by_owner, .profile = io_profile::node});
  };
  t["io_pool(options) | callbacks.do_work without free_work"] = [] {
    return pool_of({.callbacks = {.do_work = [](io_work&, io_call&, void*) {}}});
  };
  t["io_pool(options) | callbacks.free_work without do_work"] = [] {
    return pool_of({.callbacks = {.free_work = [](io_work&, void*) -> io_work* { return nullptr; }}});
  };
  t["io_pool(options) | interrupt_signal = SIGUSR1"] = [] { return pool_of({.interrupt_signal = SIGUSR1}); };
  t["io_pool(options) | interrupt_signal other than that of the process"] = [] {
    return with_pool([](io_pool& first) {
      return answer_of([&] { const io_pool second{first.owner(), {.interrupt_signal = SIGRTMIN}}; });
    });
  };
  t["io_pool(options) | name null"] = [] { return pool_of({.name = {}}); };
  t["io_pool(options) | bounded above hard_cap"] = [] {
    return with_pool([](io_pool& pool) { return "workers_max " + std::to_string(pool.stats().bounded.workers_max); },
                     {.bounded = 100, .hard_cap = 3});
  };
  t["io_pool(options) | the runtime was shut down"] = [] {
    return with_runtime([](runtime& rt, ear&) {
      rt.shutdown(1h);
      return answer_of([&] { const io_pool pool{rt, {.name = "asked"}}; });
    });
  };
  t["hash_domain::this_threads_pool() | its runtime is gone"] = [] {
    std::optional<hash_domain> domain;
    with_runtime([&](runtime& rt, ear&) {
      domain.emplace(rt);
      return "";
    });
    return answer_of([&] { domain->this_threads_pool(); });
  };
  t["~runtime() | an io_pool of it exists"] = [] {
    std::optional<io_pool> pool;
    return with_runtime([&](runtime& rt, ear&) {
      pool.emplace(rt, io_pool_options{.name = "left"});
      return "returned";
    });
  };
  t["runtime::shutdown(limit) | from an item of an io_pool of the runtime"] = [] {
    return with_pool([](io_pool& pool) {
      return from_item(
          pool, [&](io_call&) { return std::string{pool.owner().shutdown(1h).complete ? "complete" : "incomplete"}; });
    });
  };
  t["io_pool::create(options) | as of the constructor"] = [] {
    return with_runtime([](runtime& rt, ear&) { return made_of(io_pool::create(rt, {.bounded = 0}).error()); });
  };
  t["hash_domain::set_options(options) | bounded = 0"] = [] {
    return with_runtime(
        [](runtime& rt, ear&) { return answer_of([&] { hash_domain{rt}.set_options({.bounded = 0}); }); });
  };
  t["hash_domain::set_options(options) | profile node"] = [] {
    return with_runtime([](runtime& rt, ear&) {
      return answer_of([&] { hash_domain{rt}.set_options({.profile = io_profile::node}); });
    });
  };
  t["io_user(granted) | 0"] = [] {
    const io_user user{0};
    return "granted " + std::to_string(user.granted()) + ", charged " + std::to_string(user.charged());
  };
  t["hash_domain::this_threads_pool() | set_options() with an interrupt_signal other than that of the process"] = [] {
    return with_pool([](io_pool& first) {
      hash_domain domain{first.owner()};
      domain.set_options({.interrupt_signal = SIGRTMIN});
      return answer_of([&] { domain.this_threads_pool(); });
    });
  };
}

void add_io_items(table& t) {
  t["io_pool::enqueue(item) | cancel_before_enqueue() was called"] = [] {
    struct seen {
      int refusal = 0;
      bool freed = false;
    } s;
    const io_callbacks callbacks{
        .do_work = [](io_work&, io_call& call, void* to) { static_cast<seen*>(to)->refusal = call.refusal(); },
        .free_work = [](io_work&, void* to) -> io_work* {
          static_cast<seen*>(to)->freed = true;
          return nullptr;
        },
        .context = &s};
    return with_pool(
        [&](io_pool& pool) {
          io_work item;
          item.cancel_before_enqueue();
          const bool taken = pool.enqueue(item);
          return told(taken) + ", do_work told " + error_of(s.refusal) + (s.freed ? ", freed" : "");
        },
        {.callbacks = callbacks});
  };
  t["io_pool::enqueue(task) | it is not over"] = [] {
    return with_pool([](io_pool& pool) {
      gate leave;
      io_task task{{}, [&](io_call& c) { c.interruptible([&] { leave.wait(); }); }};
      pool.enqueue(task);
      const bool again = pool.enqueue(task);
      leave.open();
      task.wait();
      return told(again);
    });
  };
  t["io_pool::enqueue(task) | after exit_start()"] = [] {
    return with_pool([](io_pool& pool) {
      pool.exit_start();
      io_task task{{}, [] {}};
      const bool taken = pool.enqueue(task);
      task.wait();
      return told(taken) + ", value " + error_of(task.value());
    });
  };
  t["io_pool::submit(options, f, done) | after exit_start()"] = [] {
    return with_pool([](io_pool& pool) {
      pool.exit_start();
      return submitted(pool);
    });
  };
  t["io_pool::submit(options, f, done) | the runtime was shut down"] = [] {
    return with_pool([](io_pool& pool) {
      pool.owner().shutdown(1h);
      return submitted(pool);
    });
  };
  t["io_pool::submit(options, f, done) | in a forked child of the process that made the pool"] = [] {
    return with_pool([](io_pool& pool) { return in_child([&] { return submitted(pool); }); });
  };
  t["io_pool::submit(options, f, done) | as somebody whom the process may not become"] = [] {
    return in_child([] {
      be_nobody();
      io_pool pool{{.name = "asked"}};
      return submitted(pool, {.as = identity::make({.user = 1, .group = 1}).value()});
    });
  };
  t["io_pool::submit(f) | an empty std::function"] = [] {
    return in_child([] {
      io_pool pool{{.name = "asked"}};
      pool.submit(std::function<void()>{});
      pool.end(max_ns);
    });
  };
  t["io_pool::submit_for_result(options, f) | an empty std::function"] = [] {
    return with_pool(
        [](io_pool& pool) { return answer_of([&] { pool.submit_for_result({}, std::function<void()>{}).get(); }); });
  };
  t["io_pool::submit_for_result(options, f) | after exit_start()"] = [] {
    return with_pool([](io_pool& pool) {
      pool.exit_start();
      return answer_of([&] { pool.submit_for_result({}, [] {}).get(); });
    });
  };
  t["io_pool::submit_for_result(options, f) | as somebody whom the process may not become"] = [] {
    return in_child([] {
      be_nobody();
      io_pool pool{{.name = "asked"}};
      pool.submit_for_result({.as = identity::make({.user = 1, .group = 1}).value()}, [] {}).get();
    });
  };
  t["io_call::current() | outside of an item"] = [] { return io_call::current() == nullptr ? "null" : "some"; };
  t["io_call::system_call(number) | there is none with that number"] = [] {
    return with_pool([](io_pool& pool) {
      return from_item(pool, [](io_call& call) { return error_of(call.system_call(100'000)); });
    });
  };
  t["io_call::read(fd, buffer, bytes), pread, write, pwrite | fd = -1"] = [] {
    return with_pool([](io_pool& pool) {
      return from_item(pool, [](io_call& call) {
        char byte = 0;
        const std::set<ssize_t> all{call.read(-1, &byte, 1), call.pread(-1, &byte, 1, 0), call.write(-1, &byte, 1),
                                    call.pwrite(-1, &byte, 1, 0)};
        return all.size() == 1 ? error_of(*all.begin()) : "not all the same";
      });
    });
  };
  t["io_call::read(fd, buffer, bytes), pread, write, pwrite, system_call | the item is cancelled"] = [] {
    return with_pool([](io_pool& pool) {
      return from_item(pool, [&pool](io_call& call) {
        pool.cancel_all();
        char byte = 0;
        const std::set<long> all{call.read(-1, &byte, 1), call.pread(-1, &byte, 1, 0), call.write(-1, &byte, 1),
                                 call.pwrite(-1, &byte, 1, 0), call.system_call(SYS_gettid)};
        return all.size() == 1 ? error_of(*all.begin()) : "not all the same";
      });
    });
  };
  t["io_call::interruptible(f) | the item is cancelled"] = [] {
    return with_pool([](io_pool& pool) {
      return from_item(pool, [&pool](io_call& call) {
        pool.cancel_all();
        return call.interruptible([] {});
      });
    });
  };
  t["io_task::cancel() | it is not enqueued"] = [] {
    io_task task{{}, [] {}};
    return told(task.cancel());
  };
  t["io_task::wait(), wait_for(limit) | it was never enqueued"] = [] {
    io_task task{{}, [] {}};
    task.wait();
    return told(task.wait_for(0ns));
  };
  t["io_task::wait_for(limit) | negative, while it runs"] = [] {
    return with_pool([](io_pool& pool) {
      gate leave;
      io_task task{{}, [&](io_call& c) { c.interruptible([&] { leave.wait(); }); }};
      pool.enqueue(task);
      const bool over = task.wait_for(min_ns);
      leave.open();
      task.wait();
      return told(over);
    });
  };
  t["io_task::wait_for(limit) | the greatest there is"] = [] {
    return with_pool([](io_pool& pool) {
      io_task task{{}, [] {}};
      pool.enqueue(task);
      return told(task.wait_for(max_ns));
    });
  };
  t["io_task::wait_for(limit) | from its own callable"] = [] {
    return with_pool([](io_pool& pool) {
      bool over = true;
      io_task* self = nullptr;
      io_task task{{}, [&] { over = self->wait_for(1ms); }};
      self = &task;
      pool.enqueue(task);
      task.wait();
      return told(over);
    });
  };
}

void add_io_pools(table& t) {
  t["io_pool::submit(options, f, done) | unbounded, in profile node without a user"] = [] {
    return with_pool([](io_pool& pool) { return submitted(pool, {.unbounded = true}); }, {.profile = io_profile::node});
  };
  t["io_pool::submit(options, f, done) | after cancel_for_good()"] = [] {
    return with_pool([](io_pool& pool) {
      pool.cancel_for_good();
      return submitted(pool);
    });
  };
  t["io_pool::cancel(match), cancel(item), cancel_tagged(tag), cancel_all(), cancel_for_good() | there is no such "
    "item"] = [] {
    return with_pool([](io_pool& pool) {
      const io_work other;
      const std::set<std::string> all{told(pool.cancel([](const io_work&) noexcept { return true; })),
                                      told(pool.cancel(other)), told(pool.cancel_tagged(&other)),
                                      told(pool.cancel_all()), told(pool.cancel_for_good())};
      return all.size() == 1 ? *all.begin() : "not all the same";
    });
  };
  t["io_pool::cancel_tagged(tag) | null"] = [] {
    return with_pool(
        [](io_pool& pool) {
          return while_an_item_runs(pool, [&] {
            pool.submit([] {});  // waits
            return told(pool.cancel_tagged(nullptr));
          });
        },
        {.bounded = 1});
  };
  t["io_pool::max_workers(wanted) | 0"] = [] {
    return with_pool(
        [](io_pool& pool) {
          pool.max_workers({});
          return "stays " + std::to_string(pool.max_workers({}).bounded);
        },
        {.bounded = 3});
  };
  t["io_pool::max_workers(wanted) | above hard_cap"] = [] {
    return with_pool(
        [](io_pool& pool) {
          pool.max_workers({.bounded = 40'000});
          return "becomes " + std::to_string(pool.max_workers({}).bounded);
        },
        {.bounded = 3, .hard_cap = 5});
  };
  t["io_pool::set_affinity(cpus) | one that does not exist"] = [] {
    return with_pool([](io_pool& pool) { return answer_of([&] { pool.set_affinity({no_cpu}); }); });
  };
  t["hash_domain::set_affinity(cpus) | one that does not exist"] = [] {
    return with_pool([](io_pool& pool) {
      hash_domain domain = pool.domain();
      return answer_of([&] { domain.set_affinity({no_cpu}); });
    });
  };
  t["io_pool::set_affinity(cpus) | none"] = [] {
    return with_pool([](io_pool& pool) { return answer_of([&] { pool.set_affinity({}); }); });
  };
  t["io_pool::run_notes() | of a pool that is not by_owner"] = [] {
    return with_pool([](io_pool& pool) { return "made " + std::to_string(pool.run_notes()); });
  };
  t["io_pool::run_notes() | in a thread that is not the owner"] = [] {
    return with_pool(
        [](io_pool& pool) {
          unsigned made = 1;
          std::thread{[&] {
            pool.submit([] {});
            made = pool.run_notes();
          }}.join();
          return "made " + std::to_string(made) + ", then " + std::to_string(pool.run_notes());
        },
        {.creation = io_creation::by_owner});
  };
  t["io_pool::exit_start() | for the second time"] = [] {
    return with_pool([](io_pool& pool) {
      pool.exit_start();
      return answer_of([&] { pool.exit_start(); });
    });
  };
  t["io_pool::end(limit) | negative, while an item runs"] = [] {
    return with_pool([](io_pool& pool) { return while_an_item_runs(pool, [&] { return pool.end(min_ns); }); });
  };
  t["io_pool::end(limit) | the greatest there is"] = [] {
    return with_pool([](io_pool& pool) {
      pool.submit([] {});
      return told(pool.end(max_ns));
    });
  };
  t["io_pool::end(limit) | for the second time"] = [] {
    return with_pool([](io_pool& pool) {
      pool.end(max_ns);
      return told(pool.end(0ns));
    });
  };
  t["io_pool::end(limit) | from an item of its own"] = [] {
    return with_pool([](io_pool& pool) { return from_item(pool, [&](io_call&) { return pool.end(max_ns); }); });
  };
  t["~io_pool() | from an item of its own"] = [] {
    return in_child([] {
      auto pool = std::make_unique<io_pool>(io_pool_options{.name = "asked"});
      io_pool* const its = pool.get();
      its->submit([&] { pool.reset(); });
      for (;;) std::this_thread::sleep_for(1h);
    });
  };
  t["all other calls of io_pool | after end()"] = [] {
    return with_pool([](io_pool& pool) {
      pool.end(max_ns);
      pool.audit();
      pool.exit_on_idle(true);
      pool.max_workers({.bounded = 2});
      return pool.describe().find("ending") != std::string::npos && pool.stats().workers.empty() ? "as ever" : "?";
    });
  };
}

void add_identities(table& t) {
  t["identity::capture(parts) | file_credentials and credentials"] = [] {
    return made_of(identity::capture(identity_part::file_credentials | identity_part::credentials).error());
  };
  t["identity::capture(parts) | a bit that is none of its values"] = [] {
    return made_of(identity::capture(static_cast<identity_part>(1U << 31)).error());
  };
  t["identity::capture(parts) | none"] = [] { return identity::capture(identity_part::none)->describe(); };
  t["identity::supported(parts) | a bit that is none of its values"] = [] {
    return told(identity::supported(static_cast<identity_part>(1U << 31)));
  };
  t["identity::make(options) | nothing is given"] = [] { return identity_of({}); };
  t["identity::make(options) | user without group"] = [] { return identity_of({.user = 1}); };
  t["identity::make(options) | group without user"] = [] { return identity_of({.group = 1}); };
  t["identity::make(options) | groups without user and group"] = [] { return identity_of({.groups = {1}}); };
  t["identity::make(options) | effective without user and group"] = [] { return identity_of({.effective = true}); };
  t["identity::make(options) | user = 2^32 - 1"] = [] { return identity_of({.user = ~uid_t{0}, .group = 1}); };
  t["identity::make(options) | 65537 groups"] = [] {
    return identity_of({.user = 1, .group = 1, .groups = std::vector<gid_t>(65'537)});
  };
  t["identity::make(options) | folder = -2"] = [] { return identity_of({.folder = -2}); };
  t["identity::make(options) | folder is a file"] = [] {
    return identity_of("/proc/self/exe", O_PATH, &identity_options::folder);
  };
  t["identity::make(options) | root is a file"] = [] {
    return identity_of("/proc/self/exe", O_PATH, &identity_options::root);
  };
  t["identity::make(options) | root is not open"] = [] { return identity_of({.root = 1'000'000}); };
  t["identity::make(options) | umask = 01000"] = [] { return identity_of({.umask = 01000}); };
  t["identity::make(options) | io_priority = -1"] = [] { return identity_of({.io_priority = -1}); };
  t["identity::make(options) | io_priority of no class, with a level"] = [] { return identity_of({.io_priority = 4}); };
  t["identity::make(options) | nice = 20"] = [] { return identity_of({.nice = 20}); };
  t["identity::make(options) | cgroup is a folder of something else"] = [] { return identity_of({.cgroup = "/proc"}); };
  t["identity::make(options) | cgroup does not exist"] = [] { return identity_of({.cgroup = "/no/such/group"}); };
  t["identity::make(options) | net_namespace, uts_namespace, ipc_namespace or mount_namespace is a folder"] = [] {
    std::set<std::string> all;
    for (const auto field : {&identity_options::net_namespace, &identity_options::uts_namespace,
                             &identity_options::ipc_namespace, &identity_options::mount_namespace}) {
      all.insert(identity_of("/", O_RDONLY, field));
    }
    return all.size() == 1 ? *all.begin() : "not all the same";
  };
}

table all_calls() {
  table t;
  add_starts(t);
  add_runtime_options(t);
  add_runtime(t);
  add_workqueue_options(t);
  add_queueing(t);
  add_places(t);
  add_limits_and_waits(t);
  add_items(t);
  add_groups(t);
  add_values(t);
  add_scopes_and_system(t);
  add_io_pool_options(t);
  add_io_items(t);
  add_io_pools(t);
  add_identities(t);
  return t;
}

// ---- the page ----------------------------------------------------------------------------------------------

struct row {
  std::string key;     // "call | wrong argument", without backticks
  std::string answer;  // as on the page
};

std::string trimmed(std::string s) {
  s.erase(0, s.find_first_not_of(' '));
  s.erase(s.find_last_not_of(' ') + 1);
  return s;
}

std::vector<row> rows_of_page() {
  std::ifstream page{WRING_BAD_INPUT_PAGE};
  std::vector<row> rows;
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (line == "| call | wrong argument | answer |") inside = true;
    if (line.empty()) inside = false;
    if (!inside || line.starts_with("| call |") || line.starts_with("|---")) continue;
    std::string plain;
    for (const char c : line) {
      if (c != '`') plain += c;
    }
    const auto first = plain.find('|', 1);
    const auto second = plain.find('|', first + 1);
    rows.push_back({trimmed(plain.substr(1, first - 1)) + " | " + trimmed(plain.substr(first + 1, second - first - 1)),
                    line.substr(line.find('|', line.find('|', 1) + 1) + 1)});
  }
  return rows;
}

// What stands in backticks there.
std::vector<std::string> fragments_of(const std::string& answer) {
  std::vector<std::string> found;
  for (std::size_t at = 0; (at = answer.find('`', at)) != std::string::npos;) {
    const auto end = answer.find('`', at + 1);
    if (end == std::string::npos) break;
    found.push_back(answer.substr(at + 1, end - at - 1));
    at = end + 1;
  }
  return found;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// WQ-20, WQ-22, WQ-35, WQ-46, WQ-68, WQ-86, WQ-98, WQ-125. Method: each row's call is made, on a runtime of its own or
// in a forked child; all that the row has in backticks is in the answer, which speaks of misuse or a warning if and
// only if the row does.
TEST(bad_input, is_answered_as_the_reference_says) {
  for (const char* name : {"WRING_CPUS", "WRING_DETECT", "WRING_DEADLOCK_GRAPH"}) ::unsetenv(name);
  table calls = all_calls();
  for (const auto& [key, answer] : rows_of_page()) {
    const auto call = calls.find(key);
    if (call == calls.end()) {
      ADD_FAILURE() << "nobody makes the call of the row: " << key;
      continue;
    }
    const std::string observed = call->second();
    calls.erase(call);
    if (observed == no_child) continue;
    const std::vector<std::string> fragments = fragments_of(answer);
    EXPECT_FALSE(fragments.empty()) << key;
    for (const std::string& fragment : fragments) {
      EXPECT_TRUE(has(observed, fragment))
          << key << "\n  is to be answered by: " << answer << "\n  and was by: " << observed;
    }
    for (const std::string kind : {"misuse", "warning"}) {
      EXPECT_EQ(has(observed, kind + ": "), has(answer, kind)) << key << "\n  was answered by: " << observed;
    }
  }
  for (const auto& [key, call] : calls) ADD_FAILURE() << "no row of the page has the call: " << key;
}

}  // namespace
}  // namespace wring
