"""Every row of "what happens to the magnet when …" is asserted by tests, and these are their names."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# The beginning of a row's first cell, and the tests that show what it says.
SHOWN_BY: dict[str, tuple[str, ...]] = {
    "you press Ctrl-C once": (
        "test_ways_of_ending:test_signals_hold_the_magnet_and_close_the_files",
        "test_cli_stop:test_wherever_in_a_hall_loop_it_comes_the_magnet_holds_within_two_seconds",
    ),
    "you press Ctrl-C again": (
        "test_ways_of_ending:test_signals_hold_the_magnet_and_close_the_files",
        "test_cli_stop:test_no_number_of_them_interrupts_an_order",
    ),
    "SIGTERM, SIGHUP": ("test_ways_of_ending:test_signals_hold_the_magnet_and_close_the_files",),
    "a procedure, its shutdown or a listener": (
        "test_ways_of_ending:test_an_error_in_a_procedure_and_in_its_shutdown_holds_the_magnet_and_both_are_told",
        "test_ways_of_ending:test_an_error_in_a_listener_stops_nothing_and_a_signal_still_does",
    ),
    "the program is killed": ("test_ways_of_ending:test_a_killed_engine_is_followed_by_its_guardian",),
    "the program hangs": (
        "test_ways_of_ending:test_an_engine_that_is_stopped_or_hangs_is_silent_and_its_magnet_is_held",
    ),
    "program and guardian are killed": (
        "test_guard:test_m6_whenever_the_computer_dies_the_magnet_coasts_to_where_it_was_allowed_to_be",
        "test_guard_ordeals:test_a_process_may_die_at_any_message",
    ),
    "the run ends": (
        "test_runner:test_a_run_leaves_its_magnet_as_the_settings_say",
        "test_runner:test_a_magnet_that_cannot_be_left_as_it_should_fails_the_run",
    ),
    "a lock-in or the thermometer stops": (
        "test_runner:test_an_exception_in_a_procedure_is_a_failed_run_with_the_magnet_on_hold",
    ),
    "one answer of the supply is lost": (
        "test_guard:test_m17_one_or_two_lost_looks_are_looked_at_again",
        "test_guard:test_m5_a_go_that_is_lost_is_not_repeated_before_a_look",
    ),
    "the supply itself stops": (
        "test_runner:test_a_lost_magnet_link_fails_the_run_and_says_where_the_magnet_goes",
        "test_guard:test_m14_a_hold_that_cannot_be_confirmed_says_where_the_magnet_goes",
    ),
    "it answers again": (
        "test_guard:test_m17_when_the_supply_answers_again_everything_is_compared_first",
        "test_guard:test_m17_a_supply_that_was_restarted_meanwhile_is_foreign",
    ),
    "the disk is full": ("test_runner:test_a_full_disk_holds_the_magnet_and_claims_no_row",),
    "a target beyond the limits": (
        "test_guard:test_m1_a_target_that_is_out_of_range_or_not_finite_is_refused_before_any_byte",
        "test_cli:test_what_a_magnet_cannot_do_is_refused_before_anything_is_opened",
    ),
    "a setting of the guard is missing": (
        "test_guard:test_a_magnet_without_settings_is_shown_and_refuses_every_write_with_the_reason",
        "test_runner:test_a_magnet_without_a_setting_is_shown_and_not_moved",
    ),
    "somebody presses PAUSE": (
        "test_guard:test_m19_a_hand_at_the_supply_during_a_ramp_is_noticed_and_not_fought",
        "test_guard:test_m19_hold_is_allowed_also_on_a_magnet_that_another_hand_moves",
    ),
    "somebody changes units": ("test_guard:test_m22_a_constant_that_was_changed_at_the_supply_is_noticed_before_go",),
    "somebody clamps the output": ("test_guard:test_m26_a_clamped_output_is_left_alone_also_by_hold",),
    "somebody else's ramp": (
        "test_guard:test_m18_a_ramp_that_somebody_else_began_is_held_and_nothing_else_is_touched",
    ),
    "our own last ramp": ("test_guard:test_m18_our_own_last_piece_goes_on_after_a_restart",),
    "it moves too fast": (
        "test_guard:test_m21_a_ramp_that_is_too_slow_or_too_fast_twice_is_held",
        "test_guard:test_m21_a_ramp_the_wrong_way_is_held",
        "test_guard:test_m21_a_magnet_that_goes_past_its_end_is_held",
    ),
    "its switch heater is not": (
        "test_guard:test_m10_a_heater_that_is_not_confirmed_ends_in_a_fault_and_the_leads_stay",
        "test_guard:test_m10_a_heater_that_flips_by_itself_holds_the_magnet",
    ),
    "the coil does not follow": (
        "test_guard:test_f30_leads_go_back_to_a_coil_whose_switch_warms_more_slowly_than_it_should",
        "test_guard_corners:test_f30_a_retreat_that_is_held_is_still_a_fault",
    ),
    "the coil is too warm": (
        "test_guard:test_m16_a_coil_that_is_too_warm_three_times_goes_to_zero_with_the_segments_rates",
        "test_guard:test_m16_in_persistent_mode_low_helium_is_told_and_the_heater_stays_off",
    ),
    "the sensor of either fails": (
        "test_guard:test_m16_a_sensor_that_fails_holds_the_field_and_the_sweep_goes_on_when_it_is_good_again",
        "test_guard:test_m16_a_sensor_that_stays_bad_sends_the_magnet_to_zero_after_its_patience",
    ),
    "the computer sleeps": (
        "test_guard:test_m27_after_a_sleep_of_the_computer_everything_is_read_before_anything_is_written",
    ),
    "the terminal, or a program": ("test_cli:test_a_reader_that_goes_away_does_not_leave_the_magnet_ramping",),
    "it quenches": ("test_guard:test_m13_a_quench_is_latched_over_a_restart_until_a_person_clears_it",),
    "what was remembered": ("test_guard:test_m18_a_memory_that_cannot_be_read_blocks_until_a_person_says_so",),
}


def rows() -> list[str]:
    text = (ROOT / "docs" / "magnet-safety.md").read_text(encoding="utf-8")
    table = text[text.index("| what happens |") : text.index("A *piece* is")]
    return [match[1].strip() for line in table.splitlines()[2:] if (match := re.match(r"\|([^|]+)\|", line))]


def test_every_row_of_the_page_has_its_tests_and_no_test_is_named_for_nothing() -> None:
    found = {row: [start for start in SHOWN_BY if row.startswith(start)] for row in rows()}
    assert all(len(starts) == 1 for starts in found.values()), found
    assert {starts[0] for starts in found.values()} == set(SHOWN_BY)


@pytest.mark.parametrize("name", sorted({name for names in SHOWN_BY.values() for name in names}))
def test_the_test_that_a_row_counts_on_is_there(name: str) -> None:
    module, _, function = name.partition(":")
    tree = ast.parse((ROOT / "tests" / f"{module}.py").read_text(encoding="utf-8"))
    assert function in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
