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
    if (each.contestant == contestant) values.push_back(each.found.values[metric]);
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
  return values.empty() ? "-" : show(median(values));
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
  char text[64];
  std::snprintf(text, sizeof text, "%.2f (%.2f-%.2f)", median(ratios), *least, *greatest);
  return text;
}

constexpr const char* row_format = "%-34s %-14s %8s %8s %8s  %-18s %-18s %-18s %6s\n";

// A JSON string; the texts are our own, so quotes and backslashes are all there is to escape.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
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
    std::fprintf(file, "%s      {\"round\": %u, \"contestant\": %s, \"values\": [", separator, each.round,
                 quoted(each.contestant).c_str());
    for (std::size_t i = 0; i < of.work.metrics.size(); ++i) {
      std::fprintf(file, "%s%.6g", i == 0 ? "" : ", ", each.found.values[i]);
    }
    std::fputs("]}", file);
    separator = ",\n";
  }
  std::fputs("\n     ]}", file);
}

}  // namespace

std::string again(const std::string& contestant) { return contestant + " again"; }

void print_heading(const contest_record& record) {
  const machine& m = record.machine;
  std::printf("%s: %s\n", record.bench.c_str(), record.question);
  std::printf("  %s, %u CPUs%s, %s, %s, wring %s, %s%s\n", m.cpu.c_str(), m.cpus, m.virtual_machine ? " (virtual)" : "",
              m.kernel.c_str(), m.compiler.c_str(), m.wring.c_str(),
              m.onetbb.empty() ? "built without oneTBB" : "oneTBB ", m.onetbb.c_str());
  if (record.options.quick) return;
  std::printf(row_format, "workload", "median of", "naive", "onetbb", "wring", "wring/naive", "wring/onetbb",
              "naive/naive", "others");
}

void print_rows(const contest_record& record, const results& of, bool good) {
  if (!good) {
    std::printf("%-34s FAILED, see above\n", of.work.name.c_str());
  } else if (record.options.quick) {
    std::printf("%-34s executed %" PRIu64 ", hash %016" PRIx64 ": ok\n", of.work.name.c_str(), of.work.executed,
                of.work.hash);
  } else {
    for (std::size_t i = 0; i < of.work.metrics.size(); ++i) {
      std::printf(row_format, i == 0 ? of.work.name.c_str() : "", of.work.metrics[i].c_str(),
                  show_median(of, "naive", i).c_str(), show_median(of, "onetbb", i).c_str(),
                  show_median(of, "wring", i).c_str(), show_ratio(of, "wring", "naive", i).c_str(),
                  show_ratio(of, "wring", "onetbb", i).c_str(), show_ratio(of, again("naive"), "naive", i).c_str(),
                  i == 0 ? show(of.others_cpus).c_str() : "");
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
               " \"wring\": %s, \"onetbb\": %s, \"rounds\": %u, \"quick\": %s,\n \"workloads\": [",
               quoted(m.cpu).c_str(), m.cpus, m.virtual_machine ? "true" : "false", quoted(m.kernel).c_str(),
               quoted(m.compiler).c_str(), quoted(m.wring).c_str(), quoted(m.onetbb).c_str(), record.options.rounds,
               record.options.quick ? "true" : "false");
  const char* separator = "\n";
  for (const results& each : record.workloads) {
    std::fputs(separator, file.get());
    write_workload(file.get(), each);
    separator = ",\n";
  }
  std::fputs("\n ]}\n", file.get());
  return std::ferror(file.get()) == 0;
}

}  // namespace bench
