// SPDX-License-Identifier: Apache-2.0
#include "report.h"

#include "percentile.h"

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <memory>

namespace bench {

namespace {

// A contestant's values of one metric, in the order of the rounds.
std::vector<double> column(const results& of, const std::string& contestant, std::size_t metric) {
  std::vector<double> values;
  for (const timed_sample& each : of.samples) {
    if (each.contestant == contestant && !each.hangs) values.push_back(each.found.values[metric]);
  }
  return values;
}

std::string show(double value) {
  char text[32];
  std::snprintf(text, sizeof text, value < 10 ? "%.2f" : value < 100 ? "%.1f" : "%.0f", value);
  return text;
}

std::string show_median(const results& of, const std::string& contestant, std::size_t metric) {
  const std::vector<double> values = column(of, contestant, metric);
  if (values.empty()) return metric == 0 ? "hangs" : "-";
  return show(median(values));
}

std::string show_ratio(const results& of, const std::string& above, const std::string& below, std::size_t metric) {
  const std::vector<double> upper = column(of, above, metric);
  const std::vector<double> lower = column(of, below, metric);
  std::vector<double> ratios;
  for (std::size_t i = 0; i < std::min(upper.size(), lower.size()); ++i) {
    if (lower[i] > 0) ratios.push_back(upper[i] / lower[i]);
  }
  if (ratios.empty()) return "-";
  const auto [least, greatest] = std::minmax_element(ratios.begin(), ratios.end());
  return show(median(ratios)) + " (" + show(*least) + "-" + show(*greatest) + ")";
}

// The contestants in the order of the first round, each second lane behind its first.
std::vector<std::string> row_order(const results& of) {
  std::vector<std::string> names;
  for (const contestant& each : of.work.contestants) {
    for (const std::string& name : {each.name, again(each.name)}) {
      const auto is_row = [&name](const timed_sample& sample) { return sample.contestant == name; };
      if (std::any_of(of.samples.begin(), of.samples.end(), is_row)) names.push_back(name);
    }
  }
  return names;
}

// The column beside a median: wring against this contestant, or the contestant against itself.
std::string show_comparison(const results& of, const std::string& contestant, std::size_t metric) {
  for (const timed_sample& each : of.samples) {
    if (contestant == again(each.contestant)) return "A/A " + show_ratio(of, contestant, each.contestant, metric);
  }
  return contestant == "wring" ? "" : show_ratio(of, "wring", contestant, metric);
}

void print_table(const results& of) {
  std::printf("%-18s", "");
  for (const std::string& metric : of.work.metrics) std::printf(" %11s  %-20s", metric.c_str(), "wring/it");
  std::printf("\n");
  for (const std::string& contestant : row_order(of)) {
    std::printf("  %-16s", contestant.c_str());
    for (std::size_t i = 0; i < of.work.metrics.size(); ++i) {
      std::printf(" %11s  %-20s", show_median(of, contestant, i).c_str(), show_comparison(of, contestant, i).c_str());
    }
    std::printf("\n");
  }
}

// The contestant that ran twice against itself: how far from 1 the ratio of the middle round is.
double spread(const results& of, std::size_t metric) {
  for (const contestant& each : of.work.contestants) {
    const std::vector<double> first = column(of, each.name, metric);
    const std::vector<double> second = column(of, again(each.name), metric);
    std::vector<double> off;
    for (std::size_t i = 0; i < std::min(first.size(), second.size()); ++i) {
      if (first[i] > 0) off.push_back(std::abs(second[i] / first[i] - 1));
    }
    if (!off.empty()) return median(off);
  }
  return 0;
}

// "1.05 x naive best + 0.50": without what is not part of it.
std::string show_allowed(const results& of, const target& to, double noise) {
  std::string text;
  if (to.times != 0) {
    text = "(" + show(to.times) + " + " + show(noise) + " A/A) x " + of.work.metrics[to.reference_metric];
    if (to.reference != to.contestant) text += " of " + to.reference;
  }
  if (to.plus != 0 || to.times == 0) text += (text.empty() ? "" : " + ") + show(to.plus);
  if (to.least != 0) text += ", or " + show(to.least);
  if (std::isfinite(to.most)) text += ", never above " + show(to.most);
  return text;
}

// A target is met when it is so in the middle round.
void print_target(const results& of, const target& to) {
  const std::vector<double> found = column(of, to.contestant, to.metric);
  const std::vector<double> reference = column(of, to.reference, to.reference_metric);
  if (found.empty() || (to.times != 0 && reference.size() != found.size())) return;
  const double noise = to.times == 0 ? 0 : spread(of, to.metric);
  std::vector<double> above;
  std::vector<double> allowed;
  std::vector<double> ratios;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double limit = to.plus + (to.times == 0 ? 0 : (to.times + noise) * reference[i]);
    allowed.push_back(std::min(std::max(limit, to.least), to.most));
    above.push_back(found[i] - allowed[i]);
    if (to.times != 0 && reference[i] > 0) ratios.push_back(found[i] / reference[i]);
  }
  std::printf("  target: %s, %s %s", to.contestant.c_str(), of.work.metrics[to.metric].c_str(),
              show(median(found)).c_str());
  if (!ratios.empty()) std::printf(", ratio %s", show(median(ratios)).c_str());
  std::printf("; allowed %s = %s: %s\n", show(median(allowed)).c_str(), show_allowed(of, to, noise).c_str(),
              median(above) <= 0 ? "met" : "MISSED");
}

// A JSON string; the texts are our own, so quotes and backslashes are all there is to escape.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

// null: it hangs.
void write_values(std::FILE* file, const timed_sample& of, std::size_t count) {
  if (of.hangs) {
    std::fputs("null}", file);
    return;
  }
  for (std::size_t i = 0; i < count; ++i) std::fprintf(file, "%s%.6g", i == 0 ? "[" : ", ", of.found.values[i]);
  std::fputs("]}", file);
}

void write_samples(std::FILE* file, const char* name, const std::vector<timed_sample>& samples, std::size_t metrics) {
  std::fprintf(file, "\"%s\": [", name);
  const char* separator = "\n";
  for (const timed_sample& each : samples) {
    std::fprintf(file, "%s      {\"round\": %u, \"contestant\": %s, \"values\": ", separator, each.round,
                 quoted(each.contestant).c_str());
    write_values(file, each, metrics);
    separator = ",\n";
  }
  std::fputs("\n     ]", file);
}

void write_workload(std::FILE* file, const results& of) {
  std::fprintf(file,
               "    {\"name\": %s, \"executed\": %" PRIu64 ", \"hash\": \"%016" PRIx64 "\", \"others_cpus\": %.2f,\n",
               quoted(of.work.name).c_str(), of.work.executed, of.work.hash, of.others_cpus);
  std::fputs("     \"metrics\": [", file);
  for (std::size_t i = 0; i < of.work.metrics.size(); ++i) {
    std::fprintf(file, "%s%s", i == 0 ? "" : ", ", quoted(of.work.metrics[i]).c_str());
  }
  std::fputs("],\n", file);
  if (!of.sweep.empty()) {
    std::fprintf(file, "     \"chosen\": %s, ", quoted(of.chosen).c_str());
    write_samples(file, "sweep", of.sweep, of.work.metrics.size());
    std::fputs(",\n", file);
  }
  std::fputs("     ", file);
  write_samples(file, "samples", of.samples, of.work.metrics.size());
  std::fputs("}", file);
}

}  // namespace

std::string again(const std::string& contestant) { return contestant + " again"; }

void print_heading(const contest_record& record) {
  const machine& m = record.machine;
  std::printf("%s: %s\n", record.bench.c_str(), record.question);
  std::printf("  %s, %u CPUs%s, %s, %s", m.cpu.c_str(), m.cpus, m.virtual_machine ? " (virtual)" : "", m.kernel.c_str(),
              m.compiler.c_str());
  for (const auto& [name, version] : m.contestants) std::printf(", %s %s", name.c_str(), version.c_str());
  std::printf("\n");
}

void print_workload(const contest_record& record, const results& of, bool good) {
  std::printf("%s: ", of.work.name.c_str());
  if (!good) {
    std::printf("FAILED, see above\n");
  } else {
    std::printf("executed %" PRIu64 ", hash %016" PRIx64, of.work.executed, of.work.hash);
    if (record.options.quick) {
      std::printf(": ok\n");
    } else {
      std::printf(", others %s\n", show(of.others_cpus).c_str());
      if (!of.chosen.empty()) std::printf("  %s is %s\n", of.work.reference.name.c_str(), of.chosen.c_str());
      print_table(of);
      for (const target& each : of.work.targets) print_target(of, each);
    }
  }
  std::fflush(stdout);
}

bool write_json(const contest_record& record) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{std::fopen(record.options.json.c_str(), "w"),
                                                             &std::fclose};
  if (!file) return false;
  const machine& m = record.machine;
  std::fprintf(file.get(), "{\"bench\": %s, \"question\": %s,\n", quoted(record.bench).c_str(),
               quoted(record.question).c_str());
  std::fprintf(file.get(),
               " \"machine\": {\"cpu\": %s, \"cpus\": %u, \"virtual\": %s, \"kernel\": %s, \"compiler\": %s},\n"
               " \"rounds\": %u, \"quick\": %s,\n \"versions\": {",
               quoted(m.cpu).c_str(), m.cpus, m.virtual_machine ? "true" : "false", quoted(m.kernel).c_str(),
               quoted(m.compiler).c_str(), record.options.rounds, record.options.quick ? "true" : "false");
  const char* separator = "";
  for (const auto& [name, version] : m.contestants) {
    std::fprintf(file.get(), "%s%s: %s", separator, quoted(name).c_str(), quoted(version).c_str());
    separator = ", ";
  }
  std::fputs("},\n \"workloads\": [", file.get());
  separator = "\n";
  for (const results& each : record.workloads) {
    std::fputs(separator, file.get());
    write_workload(file.get(), each);
    separator = ",\n";
  }
  std::fputs("\n ]}\n", file.get());
  return std::ferror(file.get()) == 0;
}

}  // namespace bench
