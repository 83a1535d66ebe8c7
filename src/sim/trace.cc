// SPDX-License-Identifier: Apache-2.0
#include "sim/trace.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace wring::sim {

const char* to_text(operation op) noexcept {
  switch (op) {
    case operation::load: return "load";
    case operation::store: return "store";
    case operation::exchange: return "exchange";
    case operation::modify: return "rmw";
    case operation::compare: return "cas";
    case operation::compare_failed: return "cas failed";
    case operation::fence_light: return "light fence";
    case operation::fence_heavy: return "heavy fence";
    case operation::futex_wait: return "futex wait";
    case operation::futex_again: return "futex EAGAIN";
    case operation::futex_woken: return "futex woken";
    case operation::futex_spurious: return "futex spurious";
    case operation::futex_interrupted: return "futex EINTR";
    case operation::futex_timeout: return "futex timeout";
    case operation::futex_wake: return "futex wake";
    case operation::lock: return "lock";
    case operation::lock_wait: return "lock waits";
    case operation::try_lock: return "try lock";
    case operation::unlock: return "unlock";
    case operation::relax: return "relax";
    case operation::create: return "create";
    case operation::create_refused: return "create refused";
    case operation::join: return "join";
    case operation::join_too_early: return "join too early";
    case operation::finish: return "finish";
    case operation::stall: return "stall";
    case operation::spend: return "spend";
    case operation::choose: return "choose";
    case operation::look: return "look";
    case operation::timer: return "time jumps";
    case operation::mark: return "mark";
  }
  return "?";
}

void trace::start_run(bool keep_steps) {
  keep_ = keep_steps;
  hash_ = 0x243F6A8885A308D3ULL;
  steps_.clear();
}

namespace {

std::string cell_text(const trace_step& s, bool switched, const std::vector<trace::name_of>& names) {
  std::string text = switched ? ">" : " ";
  text += to_text(s.what);
  if (s.address != nullptr) {
    text += ' ';
    const auto known = std::find_if(names.begin(), names.end(), [&](const auto& n) { return n.address == s.address; });
    text += known != names.end() ? known->name : '#' + std::to_string(s.place);
  }
  char buffer[40];
  switch (s.what) {
    case operation::load:
    case operation::store:
    case operation::exchange:
    case operation::modify:
    case operation::compare:
    case operation::compare_failed:
      std::snprintf(buffer, sizeof buffer, "=%llx", static_cast<unsigned long long>(s.value));
      text += buffer;
      if (s.detail != 0) text += " STALE-" + std::to_string(s.detail);
      break;
    case operation::create:
    case operation::join:
    case operation::join_too_early:
    case operation::look: text += " T" + std::to_string(s.detail); break;
    case operation::futex_wake:
    case operation::choose: text += ' ' + std::to_string(s.detail); break;
    default: break;
  }
  if (s.at.line != 0) {
    const char* slash = std::strrchr(s.at.file, '/');
    std::string file = slash != nullptr ? slash + 1 : s.at.file;
    text += ' ' + file.substr(0, file.find('.')) + ':' + std::to_string(s.at.line);
  }
  if (s.deviated) text += " *";
  return text;
}

}  // namespace

std::string trace::columns(const std::vector<std::string>& threads, const std::vector<name_of>& names) const {
  const std::size_t first = steps_.size() > window ? steps_.size() - window : 0;
  std::vector<std::size_t> width(threads.size(), 0);
  std::vector<std::string> cells;
  for (std::size_t i = first; i < steps_.size(); ++i) {
    const trace_step& s = steps_[i];
    cells.push_back(cell_text(s, i == 0 || steps_[i - 1].thread != s.thread, names));
    std::size_t& w = width[s.thread];
    w = std::max({w, cells.back().size(), threads[s.thread].size() + 1});
  }
  std::string out = "  step |";
  const auto put = [&](const std::string& text, std::size_t w) {
    out += text;
    out.append(w > text.size() ? w - text.size() : 0, ' ');
    out += '|';
  };
  for (std::size_t t = 0; t < threads.size(); ++t) {
    if (width[t] != 0) put(' ' + threads[t], width[t]);
  }
  out += '\n';
  for (std::size_t i = first; i < steps_.size(); ++i) {
    char number[24];
    std::snprintf(number, sizeof number, "%6llu |", static_cast<unsigned long long>(steps_[i].step));
    out += number;
    for (std::size_t t = 0; t < threads.size(); ++t) {
      if (width[t] != 0) put(t == steps_[i].thread ? cells[i - first] : "", width[t]);
    }
    out += '\n';
  }
  return out;
}

}  // namespace wring::sim
