// SPDX-License-Identifier: Apache-2.0
#include "sim/simulation.h"

#include "sim/crash.h"
#include "sim/heap.h"
#include "sim/sanitizers.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>

namespace wring::sim {

namespace {

#ifdef WRING_SIM_ASAN
constexpr std::size_t default_stack = std::size_t{512} * 1024;
#else
constexpr std::size_t default_stack = std::size_t{128} * 1024;
#endif

void call_body(void* body) { (*static_cast<const std::function<void()>*>(body))(); }

}  // namespace

simulation* simulation::current_ = nullptr;

simulation::fault_rates simulation::rates_of(profile p) noexcept {
  switch (p) {
    case profile::none: return {};
    case profile::usual: return {.futex = 32, .weak_cas = 32, .create = 8, .call = 8};
    case profile::hostile: return {.futex = 4, .weak_cas = 4, .create = 2, .call = 2};
    case profile::creation_never_works: break;
  }
  return {.futex = 32, .weak_cas = 32, .call = 8, .never_create = true};
}

simulation::simulation(const options& how)
    : options_{how}, rates_{rates_of(how.faults)}, plants_met_(how.plants.size(), false) {
  watch_heap();
  if (options_.stack_bytes == 0) options_.stack_bytes = default_stack;
  if (const auto colon = options_.weaken.rfind(':'); colon != std::string::npos) {
    weaken_name_ = options_.weaken.substr(0, colon);
    weaken_line_ = std::atoi(options_.weaken.c_str() + colon + 1);
  }
}

simulation::~simulation() = default;

run_result simulation::run(const std::function<void()>& body, bool keep_steps) {
  memory_.start_run();
  trace_.start_run(keep_steps);
  for (std::uint32_t s = 0; s < max_threads; ++s) {
    virtual_thread& t = threads_[s];
    t.model = {};
    t.model.slot = s;
    t.used = false;
  }
  thread_names_.assign(1, "host");
  ready_ = 0;
  running_ = 0;
  next_id_ = 0;
  in_row_ = 0;
  calm_ = 0;
  steps_ = 0;
  // Not 0, so that code which takes 0 for "no time" is not favoured.
  now_ = 1'000'000'000;
  next_timer_ = no_timer;
  last_change_ = 0;
  arrivals_ = 0;
  result_ = {};
  counted_ = {};
  counters_.clear();
  names_.clear();

  auto* argument = const_cast<void*>(static_cast<const void*>(&body));
  start_thread(threads_[0], {}, "test", &call_body, argument);
  decisions_.go_on_at({.thread = threads_[0].model.id});
  current_ = this;
  fiber::switch_to(host_, threads_[0].place, false);
  current_ = nullptr;

  result_.hash = trace_.hash();
  result_.steps = steps_;
  counted_.seeds = 1;
  counted_.steps = steps_;
  counted_.steps_in_smallest_seed = steps_;
  counted_.threads = next_id_;
  for (const counter& c : counters_) {
    event_count& e = counted_.events[c.name];
    e.times += c.times;
    e.seeds = 1;
  }
  return result_;
}

void simulation::fiber_entry() {
  simulation& s = *current_;
  fiber::arrived(s.host_);
  const virtual_thread& t = s.me();
  try {
    t.entry(t.argument);
  } catch (const std::exception& e) {
    s.fail(failure_kind::exception, std::string{"an exception left a thread: "} + e.what());
  } catch (...) {
    s.fail(failure_kind::exception, "an exception left a thread");
  }
  s.finish();
}

void simulation::fail(failure_kind kind, const std::string& what) {
  result_.kind = kind;
  result_.what = 'T' + std::to_string(me().model.id) + ' ' + me().name + ": " + what;
  result_.waiting = who_waits();
  crash_guard::run_abandoned();
  fiber::switch_to(me().place, host_, true);
  std::abort();  // nobody comes back here
}

// --- scheduling ---------------------------------------------------------------------------------------------

void simulation::begin_step(operation op, const void* address, here at) {
  virtual_thread& t = me();
  t.next = op;
  t.next_address = address;
  t.at = at;
  // One decision for a whole spin: what is not looking or relaxing ends it.
  if (op != operation::load && op != operation::look && op != operation::relax) t.spinning = false;
  ++t.steps;
  ++steps_;
  ++in_row_;
  now_ += step_ns;
  me().cpu_ns += step_ns;
  decisions_.go_on_at({.thread = t.model.id, .step = t.steps});
  if (steps_ > options_.step_limit) {
    fail(failure_kind::livelock, "no end after " + std::to_string(options_.step_limit) + " steps");
  }
  if (now_ >= next_timer_) {
    fire_timers();
  } else if (next_timer_ != no_timer && options_.timers && decisions_.timer()) {
    jump_to_timer();
  }
}

void simulation::point(operation op, const void* address, here at) {
  begin_step(op, address, at);
  if (ready_ != only(running_)) choose_next(leaving::may_stay);
  if (decisions_.way().wants_rivals()) announce_access();
}

void simulation::choose_next(leaving why) {
  const slot_set others = ready_ & ~only(running_);
  slot_set ready = ready_;
  if (steps_ % starving_after == 0) help_starving();
  // A legal spin must not be taken for a livelock only because nobody else gets a turn.
  if (why == leaving::may_stay && in_row_ > patience) {
    why = leaving::must_yield;
    decisions_.way().thread_relaxed(running_);
  }
  if (why == leaving::must_yield && others != 0) ready = others;
  std::uint32_t slot = static_cast<std::uint32_t>(std::countr_zero(ready));
  if (std::popcount(ready) > 1) {
    slot = decisions_.thread(ready, running_, why == leaving::may_stay, why == leaving::blocked, steps_, ids_.data());
  }
  if (slot == running_) {
    if (why == leaving::must_yield) in_row_ = 0;
    return;
  }
  virtual_thread& from = me();
  virtual_thread& to = threads_[slot];
  from.decided = decisions_.at();
  from.left_at = steps_;
  running_ = slot;
  in_row_ = 0;
  ++counted_.switches;
  decisions_.go_on_at(to.decided);
  fiber::switch_to(from.place, to.place, from.finished);
}

// Priorities may keep two threads that wake each other in front of a third for ever.
void simulation::help_starving() noexcept {
  for (slot_set rest = ready_ & ~only(running_); rest != 0; rest &= rest - 1) {
    const auto s = static_cast<std::uint32_t>(std::countr_zero(rest));
    if (steps_ - threads_[s].left_at > starving_after) decisions_.way().thread_starves(s);
  }
}

void simulation::announce_access() {
  const virtual_thread& t = me();
  slot_set rivals = only(running_);
  if (t.next_address != nullptr) {
    for (slot_set rest = ready_ & ~rivals; rest != 0; rest &= rest - 1) {
      const auto s = static_cast<std::uint32_t>(std::countr_zero(rest));
      const virtual_thread& u = threads_[s];
      const bool both_load = t.next == operation::load && u.next == operation::load;
      if (u.next_address == t.next_address && !both_load) rivals |= only(s);
    }
  }
  decisions_.way().access_done(rivals, decisions_.random());
}

simulation::outcome simulation::block(waiting why, const void* what, std::uint64_t deadline) {
  virtual_thread& t = me();
  t.waits = why;
  t.waits_for = what;
  t.since = ++arrivals_;
  t.deadline = deadline;
  next_timer_ = std::min(next_timer_, deadline);
  ready_ &= ~only(running_);
  leave_blocked();
  return t.result;
}

void simulation::leave_blocked() {
  while (ready_ == 0) {
    if (next_timer_ == no_timer) fail(failure_kind::stuck, "stuck: nobody can go on and no timer is armed");
    jump_to_timer();
  }
  choose_next(leaving::blocked);
}

void simulation::wake(virtual_thread& t, outcome result) {
  const bool had_next_timer = t.deadline == next_timer_ && t.deadline != no_timer;
  t.result = result;
  t.waits = waiting::nothing;
  t.deadline = no_timer;
  ready_ |= only(t.model.slot);
  if (had_next_timer) find_next_timer();
}

void simulation::wake_all(waiting why, const void* what) {
  for (virtual_thread& t : threads_) {
    if (t.used && !t.finished && t.waits == why && t.waits_for == what) wake(t, outcome::woken);
  }
}

void simulation::find_next_timer() noexcept {
  next_timer_ = no_timer;
  for (const virtual_thread& t : threads_) {
    if (t.used && !t.finished && t.waits != waiting::nothing) next_timer_ = std::min(next_timer_, t.deadline);
  }
}

void simulation::fire_timers() {
  for (virtual_thread& t : threads_) {
    if (t.used && !t.finished && t.waits != waiting::nothing && t.deadline <= now_) wake(t, outcome::timeout);
  }
  find_next_timer();
  changed();
}

void simulation::jump_to_timer() {
  now_ = std::max(now_, next_timer_);
  note(operation::timer, nullptr, 0, 0, 0);
  fire_timers();
}

void simulation::relax(here at) {
  begin_step(operation::relax, nullptr, at);
  // Nobody is left to move, or all that move only wait: then only time can help.
  constexpr std::uint64_t idle_steps = 1000;
  // Alone, it may still go on by itself: after a weak compare-exchange that failed for nothing, or with one
  // more look.
  constexpr std::uint64_t lonely_steps = 200;
  const bool nobody = steps_ - last_change_ > (ready_ == only(running_) ? lonely_steps : idle_steps);
  if (nobody && next_timer_ != no_timer) jump_to_timer();
  if (ready_ != only(running_)) {
    bool& spins = me().spinning;
    spins = in_row_ <= patience && (spins || decisions_.spin());
    if (!spins) {
      decisions_.way().thread_relaxed(running_);
      choose_next(leaving::must_yield);
    }
  }
  note(operation::relax, nullptr, 0, 0, 0);
}

// --- threads ------------------------------------------------------------------------------------------------

simulation::virtual_thread* simulation::find_thread(std::uint32_t id) noexcept {
  for (virtual_thread& t : threads_) {
    if (t.used && t.model.id == id) return &t;
  }
  return nullptr;
}

simulation::virtual_thread* simulation::free_slot() noexcept {
  virtual_thread* second_best = nullptr;
  for (virtual_thread& t : threads_) {
    if (t.used) continue;
    if (t.model.id == 0) return &t;
    if (second_best == nullptr) second_best = &t;
  }
  return second_best;
}

void simulation::start_thread(virtual_thread& t, const thread_self& like, const char* name, void (*entry)(void*),
                              void* argument) {
  t.model.id = ++next_id_;
  t.model.tick();
  t.name = name;
  t.entry = entry;
  t.argument = argument;
  t.used = true;
  t.finished = false;
  t.spinning = false;
  t.steps = 0;
  t.cpu_ns = 0;
  t.left_at = steps_;
  t.decided = {.thread = t.model.id};
  t.next = operation::mark;
  t.next_address = nullptr;
  t.at = {};
  t.waits = waiting::nothing;
  t.deadline = no_timer;
  t.slots.fill(nullptr);
  t.bound_to.clear();
  t.self = like;
  t.self.unshared = false;  // its places are those of its creator
  t.stack.prepare(options_.stack_bytes);
  t.place.start(t.stack, &fiber_entry);
  ids_[t.model.slot] = t.model.id;
  thread_names_.emplace_back('T' + std::to_string(t.model.id) + ' ' + t.name);
  ready_ |= only(t.model.slot);
  decisions_.way().thread_began(t.model.slot, decisions_.random());
}

int simulation::thread_create(std::uint32_t& id, const char* name, void (*entry)(void*), void* argument, bool may_fail,
                              here at) {
  point(operation::create, nullptr, at);
  virtual_thread* t = free_slot();
  if (t == nullptr || (may_fail && ((rates_.never_create && calm_ == 0) || fault(rates_.create)))) {
    if (!may_fail) fail(failure_kind::misuse, "more than " + std::to_string(max_threads) + " threads at once");
    ++counted_.creations_refused;
    note(operation::create_refused, nullptr, 0, 0, 0);
    return -EAGAIN;
  }
  me().model.tick();
  t->model.clock.join(me().model.clock);
  start_thread(*t, me().self, name, entry, argument);
  id = t->model.id;
  changed();
  note(operation::create, nullptr, 0, id, 0);
  return 0;
}

simulation::virtual_thread& simulation::thread_to_join(std::uint32_t id) {
  virtual_thread* t = find_thread(id);
  if (t == nullptr || t == &me()) fail(failure_kind::misuse, "join of no thread");
  return *t;
}

void simulation::end_thread(virtual_thread& t) {
  me().model.clock.join(t.model.clock);
  t.used = false;
  note(operation::join, nullptr, 0, t.model.id, 0);
}

void simulation::thread_join(std::uint32_t id, here at) {
  point(operation::join, nullptr, at);
  virtual_thread& t = thread_to_join(id);
  while (!t.finished) block(waiting::join, &t, no_timer);
  end_thread(t);
}

bool simulation::thread_try_join(std::uint32_t id, here at) {
  point(operation::join, nullptr, at);
  virtual_thread& t = thread_to_join(id);
  if (t.finished) {
    end_thread(t);
    return true;
  }
  note(operation::join_too_early, nullptr, 0, id, 0);
  return false;
}

void simulation::finish() {
  virtual_thread& t = me();
  note(operation::finish, nullptr, 0, 0, 0);
  t.finished = true;
  t.model.tick();
  ready_ &= ~only(running_);
  if (t.model.id == 1) {
    const auto left = std::find_if(threads_.begin() + 1, threads_.end(), [](const auto& u) { return u.used; });
    if (left != threads_.end()) {
      fail(failure_kind::leak, "the test is over, but T" + std::to_string(left->model.id) + ' ' + left->name +
                                   (left->finished ? " was never joined" : " is still there"));
    }
    fiber::switch_to(t.place, host_, true);
  }
  changed();
  wake_all(waiting::join, &t);
  leave_blocked();
}

std::uint32_t simulation::thread_id() const noexcept { return threads_[running_].model.id; }

bool simulation::look(std::uint32_t id, sight& seen) {
  point(operation::look, nullptr, {});
  note(operation::look, nullptr, 0, id, 0);
  const virtual_thread* const t = find_thread(id);
  if (t == nullptr || t->finished) return false;
  seen = {.waits = t->waits != waiting::nothing, .cpu_ns = t->cpu_ns};
  return true;
}

void simulation::thread_stack(std::uintptr_t& low, std::uintptr_t& high) const noexcept {
  const fiber_stack& s = threads_[running_].stack;
  low = reinterpret_cast<std::uintptr_t>(s.low());
  high = low + s.size();
}

void simulation::thread_name(const char* name) {
  me().name = name;
  thread_names_[me().model.id] = 'T' + std::to_string(me().model.id) + ' ' + name;
}

void*& simulation::thread_slot(unsigned kind) {
  if (kind >= slot_kinds) fail(failure_kind::misuse, "too many kinds of thread slots");
  return me().slots[kind];
}

// --- reports ------------------------------------------------------------------------------------------------

std::string simulation::text_of(here at) {
  const char* slash = std::strrchr(at.file, '/');
  return std::string{slash != nullptr ? slash + 1 : at.file} + ':' + std::to_string(at.line);
}

std::string simulation::name_of(const void* address) const {
  const auto known = std::find_if(names_.begin(), names_.end(), [&](const auto& n) { return n.address == address; });
  return known != names_.end() ? std::string{"("} + known->name + ')' : "";
}

std::string simulation::who_waits() const {
  std::string out;
  for (const virtual_thread& t : threads_) {
    if (!t.used || t.finished) continue;
    out += "  T" + std::to_string(t.model.id) + ' ' + t.name + ": ";
    switch (t.waits) {
      case waiting::nothing: out += std::string{"ready, next "} + to_text(t.next); break;
      case waiting::futex: out += "in futex_wait" + name_of(t.waits_for); break;
      case waiting::lock: {
        out += "waits for a lock" + name_of(t.waits_for);
        const lock_cell* c = memory_.find_lock(t.waits_for);
        if (c != nullptr && c->owner != 0) {
          out += " held by T" + std::to_string(c->owner) + " since " + text_of(c->locked_at);
        }
        break;
      }
      case waiting::join: {
        const auto* joined = static_cast<const virtual_thread*>(t.waits_for);
        out += "joins T" + std::to_string(joined->model.id);
        break;
      }
      case waiting::time: out += "stalled"; break;
      case waiting::gate: out += "at a closed gate"; break;
    }
    if (t.at.line != 0) out += " at " + text_of(t.at);
    if (t.deadline != no_timer) out += ", until " + std::to_string((t.deadline - now_) / 1000) + " us from now";
    out += '\n';
  }
  return out;
}

void simulation::note(operation op, const void* address, std::uint32_t place, std::uint32_t detail,
                      std::uint64_t value) {
  const virtual_thread& t = me();
  trace_.add({steps_, t.model.id, op, decisions_.at().deviated, place, detail, address, value, t.at});
}

std::string simulation::columns() const { return trace_.columns(thread_names_, names_); }

bool simulation::planted(const char* name) noexcept {
  for (std::size_t i = 0; i < options_.plants.size(); ++i) {
    if (options_.plants[i] == name) {
      plants_met_[i] = true;
      return true;
    }
  }
  return false;
}

bool simulation::plants_all_met(std::string& missing) const {
  for (std::size_t i = 0; i < plants_met_.size(); ++i) {
    if (!plants_met_[i]) {
      missing = options_.plants[i];
      return false;
    }
  }
  return true;
}

void simulation::count(const char* name, std::uint64_t times) {
  for (counter& c : counters_) {
    if (c.name == name || std::strcmp(c.name, name) == 0) {
      c.times += times;
      return;
    }
  }
  counters_.push_back({name, times});
}

}  // namespace wring::sim
