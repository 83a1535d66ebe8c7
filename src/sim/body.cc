// SPDX-License-Identifier: Apache-2.0
// body: the part of sim.h that a simulated body calls.
#include "sim/sim.h"
#include "sim/simulation.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

namespace wring::sim {

namespace {

simulation& sim() noexcept {
  simulation* s = simulation::current();
  if (s == nullptr) {
    std::fputs("wring simulator: called outside of a run\n", stderr);
    std::abort();
  }
  return *s;
}

void run_body(void* argument) {
  const std::unique_ptr<std::function<void()>> body{static_cast<std::function<void()>*>(argument)};
  (*body)();
}

}  // namespace

thread::thread(std::function<void()> body, const char* name, here at) {
  auto owned = std::make_unique<std::function<void()>>(std::move(body));
  if (sim().thread_create(id_, name, &run_body, owned.get(), false, at) == 0) static_cast<void>(owned.release());
}

thread::thread(thread&& other) noexcept : id_{std::exchange(other.id_, 0)} {}

thread::~thread() {
  if (id_ != 0) sim().fail(failure_kind::misuse, "a sim::thread was destroyed without join");
}

void thread::join(here at) {
  if (id_ == 0) sim().fail(failure_kind::misuse, "join of no thread");
  sim().thread_join(std::exchange(id_, 0), at);
}

void detail::check_failed(const char* what, const std::string& values, here at) noexcept {
  const char* slash = std::strrchr(at.file, '/');
  std::string text = std::string{"not so: "} + what;
  if (!values.empty()) text += ':' + values;
  text += std::string{" ("} + (slash != nullptr ? slash + 1 : at.file) + ':' + std::to_string(at.line) + ')';
  sim().fail(failure_kind::check, text);
}

void stall(std::uint64_t ns, here at) { sim().stall(ns, at); }
void spend(std::uint64_t ns, here at) { sim().spend(ns, at); }
std::uint64_t now_ns() noexcept { return sim().now(); }
void gate::pass(here at) { sim().gate_pass(&open_, at); }
void gate::open(here at) { sim().gate_open(&open_, at); }
calm::calm() noexcept { sim().calm_down(true); }
calm::~calm() { sim().calm_down(false); }
std::uint32_t choose(std::uint32_t n, here at) { return sim().choose(n, at); }
void point(here at) { sim().mark(at); }
void count(const char* name, std::uint64_t times) noexcept {
  if (simulation* s = simulation::current()) s->count(name, times);
}
void name(const void* word, const char* name) { sim().name(word, name); }

}  // namespace wring::sim
