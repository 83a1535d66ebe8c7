// SPDX-License-Identifier: Apache-2.0
#include "report.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <memory>

namespace bench {

namespace {

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

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

void write_workload(std::FILE* file, const results& of) {
  std::fprintf(file,
               "    {\"name\": %s, \"executed\": %" PRIu64 ", \"hash\": \"%016" PRIx64 "\", \"others_cpus\": %.2f,\n",
               quoted(of.work.name).c_str(), of.work.executed, of.work.hash, of.others_cpus);
  std::fputs("     \"metrics\": [", file);
  for (std::size_t i = 0; i < of.work.metrics.size(); ++i) {
    std::fprintf(file, "%s%s", i == 0 ? "" : ", ", quoted(of.work.metrics[i]).c_str());
  }
  std::fputs("],\n     \"samples\": [", file);
  const char* separator = "\n";
  for (const timed_sample& each : of.samples) {
    std::fprintf(file, "%s      {\"round\": %u, \"contestant\": %s, \"values\": ", separator, each.round,
                 quoted(each.contestant).c_str());
    write_values(file, each, of.work.metrics.size());
    separator = ",\n";
  }
  std::fputs("\n     ]}", file);
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
      print_table(of);
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
