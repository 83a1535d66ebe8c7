// SPDX-License-Identifier: Apache-2.0

#include "workqueue/wait_graph.h"

#include "base/thread_state.h"
#include "workqueue/pool_workqueue.h"

#include <algorithm>
#include <string>

namespace wring::detail {

namespace {

// The callback that the thread is in, whose frame is the innermost. Outside of workers that is a child of a group, a
// closure, which lives as long as its callback.
const void* current_code(const frame& innermost) noexcept {
  if (const sched::worker* const w = sched::worker::current()) return w->code.load(base::order::relaxed);
  return innermost.running != nullptr ? reinterpret_cast<const void*>(innermost.running->entry) : nullptr;
}

// Within the call instruction, so that it belongs to the caller's line.
const void* place_of_call(const wait_call& call) noexcept { return static_cast<const char*>(call.returns_to) - 1; }

std::string told(const wait_call& call, const void* code) {
  return std::string{call.name} + " at " + base::describe_code(place_of_call(call)) + ", callback " +
         base::describe_code(code);
}

// WQ-86: when no thread is to be had, only what rescuers run goes on.
void check_rescuers(pool_workqueue& from, const waited_queue& to, const void* code, const wait_call& call) {
  if (!from.waits.has_rescuer || from.waits.legacy || to.has_rescuer || call.cancels) return;
  if (from.waits.told_of_rescuer.exchange(true, base::order::relaxed)) return;
  from.home().report().warn("a callback of queue '" + from.name() + "', which has a rescuer, waits for queue '" +
                            to.queue->name() + "', which has none and may need a thread that is not to be had: " +
                            told(call, code) + ". Said once for this queue");
}

// WQ-87.
void check_own_queue(pool_workqueue& q, const void* code, const wait_call& call) {
  wait_node& node = q.first().waits;
  if (node.graph == nullptr || call.cancels || (!node.has_rescuer && !q.one_at_a_time())) return;
  if (node.told_of_itself.exchange(true, base::order::relaxed)) return;
  q.home().report().warn("a callback of queue '" + q.name() + "' waits for another item of this queue, which " +
                         (q.one_at_a_time() ? "runs one item at a time" : "may have its rescuer's thread only") + ": " +
                         told(call, code) + ". Said once for this queue");
}

void note(pool_workqueue& from, const waited_queue& to, const frame& innermost, const wait_call& call) {
  const void* const code = current_code(innermost);
  check_rescuers(from, to, code, call);
  wait_graph* const graph = from.waits.graph;
  if (graph != nullptr && graph == to.queue->waits.graph) graph->add(from, to, code, call);
}

}  // namespace

void wait_node::open(const workqueue_options& options) noexcept {
  has_rescuer = options.rescuer;
  legacy = options.legacy;
  told_of_rescuer.store(false, base::order::relaxed);
  told_of_itself.store(false, base::order::relaxed);
}

void note_wait(pool_workqueue& q, const wait_call& call) noexcept {
  const frame* const f = frame::innermost();
  if (f == nullptr || f->queue->queue_id() == q.queue_id()) return;
  const wait_node& node = q.first().waits;
  note(f->queue->first(), {&q.first(), node.life.load(base::order::relaxed), node.has_rescuer}, *f, call);
}

void note_wait_for_item(const waited_queue& of, const wait_call& call) noexcept {
  const frame* const f = frame::innermost();
  if (f == nullptr) return;
  if (&f->queue->first() == of.queue) return check_own_queue(*f->queue, current_code(*f), call);
  note(f->queue->first(), of, *f, call);
}

wait_graph::wait_graph(sched::reporter& report) : report_{report} {
  edges_.reserve(edges_most);
  reached_.reserve(edges_most);
}

void wait_graph::begin(pool_workqueue& q) noexcept {
  const base::lock_guard lock{mu_};
  if (q.waits.graph == nullptr) q.waits.graph = this;  // once: who comes by an outdated pointer may be reading it
  q.waits.life.store(++lives_, base::order::relaxed);
}

void wait_graph::end(pool_workqueue& q) noexcept {
  const base::lock_guard lock{mu_};
  const std::uint64_t life = q.waits.life.load(base::order::relaxed);
  q.waits.life.store(0, base::order::relaxed);
  if (std::erase_if(edges_, [life](const edge& e) { return e.from == life || e.to == life; }) != 0) link_all();
}

void wait_graph::link(number n) noexcept {
  number& bucket = bucket_of(at(n).from);
  at(n).next = bucket;
  bucket = n;
}

void wait_graph::link_all() noexcept {
  first_.fill(0);
  for (std::size_t n = 1; n <= edges_.size(); ++n) link(static_cast<number>(n));
}

bool wait_graph::has(std::uint64_t from, std::uint64_t to) noexcept {
  for (number n = bucket_of(from); n != 0; n = at(n).next) {
    if (at(n).from == from && at(n).to == to) return true;
  }
  return false;
}

// As found by this search, from `before`.
wait_graph::number wait_graph::marked(number n, number before) noexcept {
  at(n).before = before;
  at(n).search = searches_;
  return n;
}

// The shortest one. Breadth first: from the end of the edge that closes it to where that begins.
void wait_graph::find_circle(number closing, circle& found) noexcept {
  ++searches_;
  reached_.assign(1, marked(closing, 0));
  for (std::size_t i = 0; i < reached_.size(); ++i) {
    const number last = reached_[i];
    if (at(last).to == at(closing).from) {
      number way = last;
      for (; way != 0; way = at(way).before) ++found.length;
      std::size_t position = found.length;
      for (way = last; way != 0; way = at(way).before) {
        if (--position < found.edges.size()) found.edges[position] = at(way);
      }
      return;
    }
    for (number n = bucket_of(at(last).to); n != 0; n = at(n).next) {
      if (at(n).from == at(last).to && at(n).search != searches_) reached_.push_back(marked(n, last));
    }
  }
}

void wait_graph::add(pool_workqueue& from, const waited_queue& to, const void* code, const wait_call& call) noexcept {
  const std::uint64_t from_life = from.waits.life.load(base::order::relaxed);
  {
    const base::lock_guard lock{mu_};
    if (has(from_life, to.life)) return;
  }
  edge made{
      .from = from_life, .to = to.life, .call = call, .code = code, .name = {}, .next = 0, .before = 0, .search = 0};
  from.name().copy(made.name.data(), made.name.size() - 1);
  circle found;
  bool became_full = false;
  {
    const base::lock_guard lock{mu_};
    // Its queue has ended: so has what was waited for there.
    const bool lives = to.life != 0 && to.queue->waits.life.load(base::order::relaxed) == to.life;
    if (!lives && !WRING_PLANT(wait_for_ended_queue_kept)) return;
    if (has(from_life, to.life)) return;
    if (edges_.size() == edges_most) {
      became_full = !full_;
      full_ = true;
    } else {
      edges_.push_back(made);
      const auto n = static_cast<number>(edges_.size());
      link(n);
      find_circle(n, found);
    }
  }
  if (became_full) {
    report_.warn("queues wait for each other in more than " + std::to_string(edges_most) +
                 " ways; further ones are not looked at. Said once");
  }
  if (found.length != 0) report(found);
}

void wait_graph::report(const circle& c) {
  const std::size_t shown = std::min(c.length, c.edges.size());
  std::string text = "queues whose callbacks wait for each other may hang:";
  for (std::size_t i = 0; i < shown; ++i) {
    const edge& e = c.edges[i];
    text += (i == 0 ? " '" : "; '") + std::string{e.name.data()} + "' waits for ";
    if (i + 1 == c.length) {
      text += "'" + std::string{c.edges[0].name.data()} + "'";
    } else if (i + 1 < shown) {
      text += "'" + std::string{c.edges[i + 1].name.data()} + "'";
    } else {
      text += std::to_string(c.length - shown) + " more, the last of which waits for the first";
    }
    text += " (" + told(e.call, e.code) + ")";
  }
  report_.warn(text);
}

void wait_graph::renew_in_child() noexcept WRING_NO_ANALYSIS {
  edges_.clear();
  first_.fill(0);
  full_ = false;
}

void wait_graph::audit() const {
  const base::lock_guard lock{mu_};
  std::size_t linked = 0;
  for (std::size_t i = 0; i < first_.size(); ++i) {
    for (number n = first_[i]; n != 0 && linked <= edges_.size(); n = edges_[n - std::size_t{1}].next) {
      const edge& e = edges_[n - std::size_t{1}];
      WRING_CHECK(e.from % buckets == i && e.from != 0 && e.to != 0 && e.from != e.to, e.from, e.to, i);
      ++linked;
    }
  }
  WRING_CHECK(linked == edges_.size() && linked <= edges_most, linked, edges_.size());
}

void wait_graph::describe(base::writer& w) const {
  const base::lock_guard lock{mu_};
  w.put("wait graph: ", edges_.size(), " ways in which one queue waits for another\n");
}

}  // namespace wring::detail
