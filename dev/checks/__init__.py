# SPDX-License-Identifier: Apache-2.0
"""checks: one claim about the tree each; dev/check runs them. A check is a module with CLAIM, run, self_test."""
