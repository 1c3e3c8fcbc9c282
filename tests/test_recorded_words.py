"""What the chapters say in words about recorded results holds in the records."""

import pytest

from rlvr_lite import paper
from rlvr_lite.experiments import find, find_difference, load_result


def side(record: str, a: str, b: str, decoding: str, subset: str, metric: str = "exact") -> int:
    """1: a ahead by its interval, -1: b ahead, 0: not decided; where more is better."""
    d = find_difference(load_result(record), a, b, decoding, subset, metric)
    return (d["low"] > 0) - (d["high"] < 0)


def costs(record: str, key: str) -> dict[str, float]:
    """Method -> what it cost; methods without training have no cost."""
    return {c["method"]: c[key] for c in load_result(record)["cost"] if key in c}


# ---- chapter 8: what RL was asked ------------------------------------------------------------


@pytest.mark.parametrize("decoding", ["greedy", "sampled"])
def test_abstention_is_learned_from_hidden_pages_only(decoding):
    assert side("web_pages", "rlvr", "rlvr_visible", decoding, "hidden", "f1") == 1
    assert side("web_pages", "rlvr", "rlvr_visible", decoding, "visible", "f1") == 0


def test_without_hidden_questions_answers_there_stay_as_they_were():
    web = load_result("web_pages")
    lines = {m: find(web, m, "greedy", "hidden", "items")["mean"]
             for m in ("mle", "rlvr_visible", "rlvr")}
    assert lines["rlvr_visible"] == pytest.approx(lines["mle"], abs=0.5)
    assert lines["rlvr"] < lines["mle"] - 1
    silent = {m: [note["omission"] for note in web["notes"][m]] for m in lines}
    assert max(silent["rlvr_visible"]) < 0.2 < min(silent["rlvr"])


def test_on_hidden_pages_samples_abstain_and_greedy_answers_also_stop_repeating():
    web = load_result("web_pages")
    for decoding in ("greedy", "sampled"):
        assert side("web_pages", "rlvr", "mle", decoding, "hidden", "precision") == 1
        invents = find_difference(web, "rlvr", "mle", decoding, "hidden", "invented")
        assert invents["low"] < 0 < invents["high"]
    repeats = {(m, d): find(web, m, d, "hidden", "repeats")["mean"]
               for m in ("mle", "rlvr") for d in ("greedy", "sampled")}
    assert repeats["mle", "greedy"] > 3 * repeats["rlvr", "greedy"]
    assert repeats["mle", "sampled"] < 0.05
    assert abs(find_difference(web, "rlvr", "mle", "sampled", "hidden", "recall")["mean"]) < 0.03


# ---- chapters 8 and 11: demonstrations, and a few mistakes -------------------------------------


def web(record: str, method: str, subset: str, metric: str = "f1") -> dict:
    return find(load_result(record), method, "greedy", subset, metric)


def test_a_word_that_is_never_sampled_is_found_by_luck():
    base, after = (web("web_demonstrations", m, "failure", "verdict")["per_seed"]
                   for m in ("mle", "rlvr"))
    assert max(base) < 0.05, "takes nearly every end for a success"
    assert after[0] == pytest.approx(base[0]) and min(after[1:]) > 0.6
    shown, later = (web("web_demonstrations", m, "demonstrated")["per_seed"]
                    for m in ("mle", "rlvr"))
    assert all(b < a - 0.1 for a, b in zip(shown[1:], later[1:])), "said too often"


def test_with_a_few_mistakes_rlvr_is_ahead_of_likelihood_on_the_same_data():
    for decoding in ("greedy", "sampled", "best"):
        for other in ("mle", "mle_continued"):
            for subset in ("all", "hidden"):
                assert side("web_few_mistakes", "rlvr", other, decoding, subset, "f1") == 1
    assert side("web_few_mistakes", "mle_gold_answers", "mle", "greedy", "all", "f1") == 1
    gold = [side("web_few_mistakes", "rlvr", "mle_gold_answers", decoding, "all", "f1")
            for decoding in ("greedy", "sampled")]
    assert gold == [-1, 0]


def test_without_new_questions_the_reward_gains_little():
    for decoding in ("greedy", "sampled"):
        pair = ("web_few_mistakes", "rlvr_demonstrations", "mle", decoding)
        assert side(*pair, "all", "f1") == 0 and side(*pair, "demonstrated", "f1") == 1


def test_what_the_reward_adds_and_what_it_costs():
    for decoding in ("greedy", "sampled"):
        assert side("web_few_mistakes", "rlvr", "mle_gold_answers", decoding, "hidden", "f1") == 0
        assert side("web_few_mistakes", "rlvr", "rejection_finetuning", decoding, "hidden",
                    "f1") == 1
        for m in ("rlvr", "mle_gold_answers"):
            assert side("web_few_mistakes", m, "mle", decoding, "demonstrated", "f1") == -1


def test_one_step_ahead_a_better_f1_is_a_better_planner():
    for other, expected in (("mle", 1), ("mle_continued", 1), ("policy", 1),
                            ("mle_gold_answers", -1)):
        assert side("web_planning_one_step", "rlvr", other, "greedy", "all",
                    "success") == expected
    assert side("web_planning_one_step", "mle", "policy", "greedy", "all", "success") == 0
    base, after = (web("web_planning_one_step", m, "all", "success")["mean"]
                   for m in ("mle", "rlvr"))
    assert after / base - 1 > paper.WEB_GAIN["success"] / 100
    assert web("web_planning_one_step", "mle", "all", "actions")["mean"] < 1.5, "at once"


def test_two_steps_ahead_a_better_f1_is_a_worse_planner():
    for other, expected in (("mle", -1), ("mle_continued", -1), ("mle_gold_answers", -1),
                            ("policy", 1)):
        assert side("web_planning_mistakes", "rlvr", other, "greedy", "all",
                    "success") == expected
    assert side("web_planning_mistakes", "mle_gold_answers", "mle", "greedy", "all",
                "success") == 0
    assert side("web_planning_mistakes", "rlvr", "mle", "greedy", "all", "actions") == 1
    assert side("web_planning_mistakes", "mle_gold_answers", "mle", "greedy", "all",
                "actions") == 1, "hesitates as well"
    notes = load_result("web_planning_mistakes")["notes"]
    assert {note["trust"] for m in ("rlvr", "mle_gold_answers") for note in notes[m]} == {0.5}
    one, two = (web(f"web_planning_{study}", "rlvr", "all", "success")
                for study in ("one_step", "mistakes"))
    assert two["mean"] < one["high"] and one["mean"] < two["high"], "wins no more"
    right = {m: web("web_few_mistakes", m, "demonstrated", "verdict")["mean"]
             for m in ("mle", "rlvr")}
    assert right["mle"] > 0.98 and right["rlvr"] < 0.9


# ---- chapter 7: the gain is as large as the bias ---------------------------------------------
def test_the_gain_of_rlvr_shrinks_with_the_bias_of_its_base():
    names = ("text_direct", "text_natural", "text_few_unchanged", "text_all_traces")
    gains = [find_difference(load_result(name), "rlvr", "mle", "greedy", "all")["mean"]
             for name in names]
    assert gains == sorted(gains, reverse=True)
    assert gains[0] > paper.TEXT_GAIN / 100, "as many points as the paper's headline"
    assert [side(n, "rlvr", "mle", "greedy", "all") for n in names] == [1, 1, 1, 0]
    few, none = (find(load_result(n), "mle", "greedy", "all")["mean"] for n in names[2:0:-1])
    assert (few - none) / gains[1] > 0.5, "two dozen traces do most of the rest"
    assert side("text_natural", "rlvr", "mle_gold_answers", "greedy", "all") == 0
    assert side("text_direct", "rlvr", "mle_gold_answers", "greedy", "all") == -1


# ---- chapter 10: how many unchanged questions ------------------------------------------------
MIX = ("unchanged=0", "unchanged=0.05", "unchanged=0.4", "rlvr")


def test_the_mix_of_questions_is_a_dial():
    mix = load_result("text_mix")
    unchanged, changed = ([find(mix, m, "greedy", subset)["mean"] for m in MIX]
                          for subset in ("unchanged", "changed"))
    assert unchanged == sorted(unchanged) and changed == sorted(changed, reverse=True)


def test_where_the_mix_gains_and_what_it_costs():
    for subset in ("all", "changed", "unchanged"):
        assert side("text_mix", "unchanged=0", "mle", "greedy", subset) == 0
    assert side("text_mix", "unchanged=0.05", "mle", "greedy", "unchanged") == 1
    assert side("text_mix", "unchanged=0.05", "mle", "greedy", "changed") == 0
    assert side("text_mix", "unchanged=0.4", "mle", "greedy", "changed") == 0
    assert side("text_mix", "rlvr", "mle", "greedy", "changed") == -1
    mix = load_result("text_mix")
    few, all_ = (find_difference(mix, m, "mle", "greedy", "unchanged")["mean"]
                 for m in ("unchanged=0.05", "rlvr"))
    assert few / all_ == pytest.approx(0.7, abs=0.05), "seven tenths of the gain"
    assert find(mix, "unchanged=0.4")["mean"] == pytest.approx(find(mix, "rlvr")["mean"], abs=0.02)


# ---- chapter 10: how large a group -----------------------------------------------------------


@pytest.mark.parametrize("decoding", ["greedy", "sampled"])
def test_small_groups_gain_most_in_equal_seconds(decoding):
    for method in ("group=2", "group=4", "rlvr", "group=16", "group=32"):
        assert side("text_sweeps", method, "mle", decoding, "changed") == 1
    assert side("text_sweeps", "rlvr", "group=4", decoding, "changed") == -1
    assert side("text_sweeps", "rlvr", "group=32", decoding, "changed") == 1
    steps = costs("text_sweeps", "steps")
    assert steps["group=2"] / steps["group=32"] == pytest.approx(1.5, abs=0.1)


def test_on_video_the_size_of_the_group_does_not_matter():
    for decoding in ("greedy", "sampled"):
        for method in ("group=4", "group=32"):
            assert side("video_levers", "rlvr", method, decoding, "all", "lpips") == 0
    log = load_result("video_levers")["curves"]
    for method in ("rlvr", "group=4", "group=32"):
        assert all(row["live"] == 1 for row in log[method] if "live" in row), "no group is dead"


# ---- chapter 12: planning in the video model -------------------------------------------------


def test_the_planner_wins_with_true_dynamics_and_in_neither_model():
    found = load_result("video_planning")
    oracle = {task: find(found, "oracle", "greedy", task, "success")["mean"]
              for task in ("drawer_open", "drawer_close")}
    assert oracle["drawer_close"] == 1 and 0.5 < oracle["drawer_open"] < 1, "most"
    for model in ("mle", "rlvr"):
        assert side("video_planning", model, "random", "greedy", "all", "success") == 0
        assert side("video_planning", model, "oracle", "greedy", "all", "success") == -1
    assert side("video_planning", "rlvr", "mle", "greedy", "all", "success") == 0


def test_what_recorded_plans_are_worth():
    def level(method, task="all", record="video_planning_training"):
        return find(load_result(record), method, "greedy", task, "success")["mean"]
    assert level("mle", "drawer_open", "video_planning") == 0, "opened no drawer"
    assert level("mle", "drawer_close", "video_planning") == pytest.approx(0.25, abs=0.03)
    assert level("mle", "drawer_open") > 0.6 and level("mle", "drawer_close") == pytest.approx(0.8)
    assert level("mle") > 0.5 and level("nearest") == pytest.approx(1 / 3, abs=0.05)
    assert level("drawn") == pytest.approx(1 / 3, abs=0.05) and 0.85 < level("oracle") < 0.9
    driven = "video_planning_training"
    assert side(driven, "mle", "drawn", "greedy", "drawer_open", "success") == 1
    over = find_difference(load_result(driven), "mle", "drawn", "greedy", "all", "success")
    assert -0.02 < over["low"] < 0, "just includes zero"
    assert side(driven, "mle", "nearest", "greedy", "drawer_open", "success") == 0
    assert level("nearest", "drawer_close") == level("mle", "drawer_close"), "close as many"
    assert side(driven, "rlvr", "mle", "greedy", "all", "success") == 0
    missed = {t: level("oracle", t) - level("rlvr", t) for t in ("drawer_open", "push")}
    assert missed["drawer_open"] == pytest.approx(missed["push"])
    gaps = {t: level("oracle", t) - level("mle", t)
            for t in ("drawer_open", "drawer_close", "push")}
    assert max(gaps, key=gaps.get) == "push"


def test_which_plans_the_models_can_rank():
    def level(method, source, metric="rank"):
        return find(load_result("video_ranking"), method, "greedy", source, metric)["mean"]
    for source in ("training", "unseen"):
        assert side("video_ranking", "rlvr", "mle", "greedy", source, "rank") == 1
        for model in ("mle", "rlvr"):
            assert level(model, source) / level("floor", source) == pytest.approx(0.5, abs=0.06)
    assert level("mle", "unseen") == pytest.approx(level("mle", "training"), rel=0.1)
    assert side("video_ranking", "rlvr", "mle", "greedy", "invented", "rank") == 0
    for model in ("mle", "rlvr"):
        assert level(model, "invented") < 0.2 and level("floor", "invented") > 0.75
        assert 0.85 < level(model, "invented", "regret") / level("drawn", "invented", "regret") < 1
        assert level(model, "invented", "hand") > level("drawn", "invented", "hand")
        for source in ("training", "unseen"):
            assert level("floor", source, "regret") / level(model, source, "regret") \
                == pytest.approx(0.42, abs=0.03), "two fifths"
    for source in ("invented", "training", "unseen"):
        assert side("video_ranking", "rlvr", "mle", "greedy", source, "regret") == 0


# ---- chapter 10: one change at a time, one metric, one game ----------------------------------


def test_all_weights_gain_most_and_a_thin_lora_least():
    for decoding in ("greedy", "sampled"):
        assert side("text_sweeps", "rlvr", "full", decoding, "changed") == -1
        assert side("text_sweeps", "rlvr", "rank=1", decoding, "changed") == 1
    assert side("text_sweeps", "rlvr", "beta=0.1", "greedy", "changed") == 0
    steps = costs("text_sweeps", "steps")
    assert steps["beta=0.1"] < steps["rlvr"] < steps["rank=1"] < steps["full"]
    for decoding in ("greedy", "sampled"):
        assert side("text_sweeps", "rlvr", "beta=0.01", decoding, "changed") == 1
    assert steps["beta=0.01"] < steps["rlvr"]


@pytest.mark.parametrize("judge, over_the_base", [
    ("l1", -1), ("mse", -1), ("psnr", 1), ("ssim", 1), ("lpips", 0)])
def test_who_is_paid_by_a_metric_gains_in_it_and_hardly_parts_from_the_others(judge,
                                                                              over_the_base):
    own = f"rlvr_{judge}"
    assert side("video_metrics", own, "mle", "sampled", "all", judge) == over_the_base
    for other in (f"rlvr_{m}" for m in ("l1", "mse", "psnr", "ssim", "lpips")):
        if other != own:
            found = side("video_metrics", own, other, "sampled", "all", judge)
            assert found == -((judge, other) == ("lpips", "rlvr_ssim"))
    log = [d for d in load_result("video_metrics")["differences"] if d["b"] == "mle"
           and d["subset"] == "all"]
    better = {d: sum(r["decoding"] == d and (r["low"] > 0 if r["metric"] in ("psnr", "ssim")
                                             else r["high"] < 0) for r in log)
              for d in ("sampled", "greedy", "best")}
    assert better["sampled"] > 15 and better["greedy"] + better["best"] <= 1
    near = find_difference(load_result("video_metrics"), "rlvr_lpips", "mle", "sampled", "all",
                           "lpips")
    assert near["mean"] < 0 < near["high"] < -near["mean"] / 4, "the interval just reaches zero"


@pytest.mark.parametrize("asked, other", [("tea", "baking"), ("baking", "tea")])
@pytest.mark.parametrize("decoding", ["greedy", "sampled"])
def test_a_gain_stays_in_the_game_that_was_asked(asked, other, decoding):
    assert side("text_transfer", f"asked={asked}", "mle", decoding, asked) == 1
    assert side("text_transfer", f"asked={asked}", "mle", decoding, other) == 0


# ---- chapter 7: the paper's own games, and a teacher that slips -------------------------------


def test_on_the_papers_games_all_of_the_gain_is_silence():
    published, theirs = load_result("text_bytesized32"), paper.text_game_rows()
    gain = find_difference(published, "rlvr", "mle", "greedy", "all")
    assert gain["mean"] == pytest.approx(
        (theirs["rlvr"]["all"] - theirs["sft"]["all"]) / 100, abs=0.02), "what it gains there"
    assert side("text_bytesized32", "rlvr", "mle", "greedy", "unchanged") == 1
    assert side("text_bytesized32", "rlvr", "mle", "greedy", "changed") == -1
    assert theirs["rlvr"]["changed"] > theirs["sft"]["changed"]
    few, many = (find_difference(published, m, "mle", "greedy", subset)["mean"]
                 for m, subset in (("rlvr_task_specific", "unchanged"), ("rlvr", "unchanged")))
    assert 0 < few < many
    for subset in ("changed", "unchanged"):
        assert theirs["rlvr_task_specific"][subset] > theirs["rlvr"][subset]
    assert side("text_bytesized32", "rlvr_task_specific", "mle", "greedy", "changed") == 0


def test_on_the_papers_games_gold_answers_of_all_questions_are_ahead():
    published = load_result("text_bytesized32")
    assert find(published, "trivial")["low"] > find(published, "mle")["high"] + 0.1
    over = find_difference(published, "rlvr", "trivial", "greedy", "all")
    assert 0 < over["low"] and over["mean"] < 0.06, "by a few points only"
    assert side("text_bytesized32", "rlvr", "mle_gold_answers", "greedy", "all") == -1
    assert side("text_bytesized32", "rlvr", "mle_gold_answers", "greedy", "changed") == 0
    assert side("text_bytesized32", "rlvr", "mle_gold_answers", "sampled", "changed") == 1
    nothing = find(published, "trivial", subset="new_games")["mean"]
    others = [find(published, m, subset="new_games")["mean"] for m in (
        "mle", "mle_continued", "mle_gold_answers", "rlvr", "rlvr_task_specific", "rlvr_natural")]
    assert max(others) < nothing - 0.2


def test_asked_the_same_mix_rlvr_is_not_decided_against_gold_answers():
    for decoding in ("greedy", "sampled"):
        for subset in ("all", "changed"):
            assert side("text_bytesized32", "rlvr_natural", "mle_gold_answers", decoding,
                        subset) == 0


@pytest.mark.parametrize("teacher", ["mle_noisy", "mle_filtered"])
def test_a_teacher_that_slips_is_worth_more_than_reinforcement(teacher):
    assert side("text_teacher", "rlvr", teacher, "greedy", "changed") == -1


def test_a_filter_pays_in_samples():
    assert side("text_teacher", "mle_filtered", "mle_noisy", "sampled", "changed") == 1
    assert side("text_teacher", "mle_filtered", "mle_noisy", "greedy", "changed") == 0


# ---- chapter 10: groups at a fixed number of questions ----------------------------------------


def test_large_groups_gain_most_in_equal_steps():
    for decoding in ("greedy", "sampled"):
        assert side("text_sweeps", "prompts=8,group=32", "prompts=8,group=2", decoding,
                    "changed") == 1
    cost = costs("text_sweeps", "cpu_seconds")
    assert cost["prompts=8,group=32"] > 2 * cost["prompts=8,group=2"]


# ---- chapter 9: repetition --------------------------------------------------------------------


@pytest.mark.parametrize("decoding", ["greedy", "sampled", "best"])
def test_repetition_is_not_decided_and_samples_move_less(decoding):
    assert side("video_multi", "rlvr", "mle", decoding, "all", "repetition") == 0
    moved = find_difference(load_result("video_multi"), "rlvr", "mle", "sampled", "all", "motion")
    assert moved["high"] < 0 and moved["mean"] == pytest.approx(-0.1, abs=0.02)


# ---- chapter 10: a larger model ---------------------------------------------------------------


def test_rlvr_gains_at_both_sizes_and_the_larger_model_is_no_better():
    small, large = load_result("text_sweeps"), load_result("text_wide")
    for record in ("text_sweeps", "text_wide"):
        for control in ("mle", "mle_continued"):
            assert side(record, "rlvr", control, "greedy", "changed") == 1
    for method in ("mle", "rlvr"):
        a, b = (find(r, method, subset="changed") for r in (small, large))
        assert b["mean"] < a["mean"] and b["high"] > a["low"], "no better, and not clearly worse"
    steps = [costs(r, "steps")["rlvr"] for r in ("text_sweeps", "text_wide")]
    assert steps[1] < steps[0]


def test_what_rlvr_has_over_likelihood_comes_from_further_questions():
    assert side("text_sweeps", "rlvr", "asked=traces", "greedy", "changed") == 1
    for decoding in ("greedy", "sampled"):
        assert side("text_sweeps", "asked=traces", "mle_continued", decoding, "changed") == 0
    sweeps = load_result("text_sweeps")
    own, all_ = (find_difference(sweeps, m, "mle", "greedy", "changed")["mean"]
                 for m in ("asked=traces", "rlvr"))
    assert own / all_ == pytest.approx(1 / 3, abs=0.1)


def test_ten_times_the_learning_rate_destroys_the_model_and_nothing_leads_back():
    sweeps = load_result("text_sweeps")
    assert max(find(sweeps, "lr=0.005", "greedy", "changed")["per_seed"]) < 0.15
    assert find(sweeps, "lr=0.005")["per_seed"][1:] == pytest.approx([1 / 7, 1 / 7], abs=0.01)
    crash = [r for r in sweeps["curves"]["lr=0.005"] if "readable" in r]
    assert crash[0]["readable"] > 0.5 and crash[-1]["readable"] < 0.01
    late = [r["live"] for r in crash if r["step"] > 100]
    assert sum(late) / len(late) < 0.02


def test_losses_and_twice_the_learning_rate_are_level():
    for method in ("lr=0.001", "loss=sequence", "loss=dr_grpo"):
        for decoding in ("greedy", "sampled"):
            assert side("text_sweeps", "rlvr", method, decoding, "changed") == 0


# ---- chapter 9: one frame ahead, and what goes on after the best weights ----------------------


def test_one_frame_ahead_samples_gain_and_nothing_else_is_decided():
    single = load_result("video_single")
    for control in ("mle", "mle_continued"):
        d = find_difference(single, "rlvr", control, "sampled", "all", "lpips")
        base = find(single, control, "sampled", "all", "lpips")["mean"]
        assert d["high"] < 0 and d["mean"] / base == pytest.approx(-1 / 8, abs=0.02)
        for decoding in ("greedy", "best"):
            assert side("video_single", "rlvr", control, decoding, "all", "lpips") == 0
    before, after = (find(single, m, "greedy", "all", "lpips")["per_seed"]
                     for m in ("mle", "rlvr"))
    assert sum(b < a for a, b in zip(before, after)) == 2
    assert side("video_single", "rlvr", "trivial", "greedy", "all", "lpips") == 0, "lab notes"
    assert side("video_multi", "rlvr", "trivial", "greedy", "all", "lpips") == -1
    copied = find(single, "trivial", "greedy", "all", "lpips")["mean"]
    assert all(r["mean"] > copied for r in single["rows"] if r["metric"] == "lpips"
               and r["subset"] == "all" and r["method"] not in ("trivial", "floor"))


def test_likelihood_overfits_the_clips_on_which_rl_goes_on():
    single = load_result("video_single")
    ends = {}
    for method in ("mle_continued", "rlvr"):
        rows = [r for r in single["curves"][method] if "validation_logp" in r]
        ends[method] = {k: (rows[0][k], rows[-1][k]) for k in rows[0] if k.startswith("valid")}
        assert ends[method]["validation_logp"][1] < ends[method]["validation_logp"][0] - 0.5
    for decoding in ("greedy", "sampled"):
        name = f"validation_lpips_{decoding}"
        assert ends["mle_continued"][name][1] > 1.1 * ends["mle_continued"][name][0]
        assert ends["rlvr"][name][1] < ends["rlvr"][name][0]
    for a, b in zip(single["notes"]["mle"], single["notes"]["rlvr"]):  # of every seed
        greedy = "T=0, top-k 0"
        assert b["validation_by_decoding"][greedy] < a["validation_by_decoding"][greedy]
    late = [r["lpips"] for r in single["curves"]["rlvr"] if "lpips" in r][-20:]
    assert sum(late) / len(late) == pytest.approx(
        ends["rlvr"]["validation_lpips_sampled"][1] / 2, rel=0.1)


# ---- chapter 9: the same with LoRA, and three levers ------------------------------------------


def test_lora_gains_what_all_weights_gain():
    for other in ("mle", "mle_continued"):
        for decoding in ("sampled", "best"):
            lora, full = (find_difference(load_result(study), "rlvr", other, decoding, "all",
                                          "lpips") for study in ("video_lora", "video_multi"))
            assert lora["high"] < 0
            assert lora["mean"] == pytest.approx(full["mean"], rel=0.3), "about as much"
    lora, full = (find_difference(load_result(study), "rlvr", "mle", "greedy", "all", "lpips")
                  for study in ("video_lora", "video_multi"))
    assert full["high"] < 0 < lora["high"] < 0.0005, "just touches zero"
    steps = [costs(study, "steps")["rlvr"] for study in ("video_lora", "video_multi")]
    assert steps[0] / steps[1] == pytest.approx(4 / 3, abs=0.02), "a third more steps"
    bases = [find(load_result(study), "mle", "greedy", "all", "lpips")["per_seed"]
             for study in ("video_lora", "video_multi")]
    assert bases[0] == pytest.approx(bases[1], abs=2e-5), "the same bases"


def test_three_levers_of_video():
    levers = load_result("video_levers")
    for decoding in ("greedy", "sampled"):
        assert side("video_levers", "rlvr", "mle_continued_3x", decoding, "all", "lpips") == -1
    best = find_difference(levers, "rlvr", "mle_continued_3x", "best", "all", "lpips")
    assert best["mean"] < 0 <= best["high"] < 0.001, "the interval just reaches zero"
    for decoding in ("greedy", "sampled", "best"):
        assert side("video_levers", "rlvr", "rlvr_lora", decoding, "all", "lpips") == 0
        for metric in ("lpips", "repetition"):
            assert side("video_levers", "rlvr", "rlvr_repetition_penalty", decoding, "all",
                        metric) == 0
    for study in ("video_single", "video_multi"):
        spent = costs(study, "cpu_seconds")
        assert spent["mle_continued"] < spent["rlvr"] / 2, f"{study}: before half of them"
    spent = costs("video_levers", "cpu_seconds")
    assert spent["mle_continued_3x"] == pytest.approx(300, abs=50), "about half of 600"


def test_few_episodes_of_video():
    for decoding in ("greedy", "sampled", "best"):
        for likelihood in ("mle", "mle_continued", "mle_to_the_end"):
            assert side("video_small", "rlvr", likelihood, decoding, "all", "lpips") == -1
    few = load_result("video_small")

    def value(method, metric, decoding="greedy"):
        return find(few, method, decoding, "all", metric)["mean"]

    for method in ("mle", "mle_continued", "mle_to_the_end"):
        for decoding in ("greedy", "sampled", "best"):
            assert value(method, "lpips", decoding) > value("trivial", "lpips"), "copy: nearer"
    assert value("mle", "motion") > 1.5 and value("rlvr", "motion") < 1.1
    assert 1 / 3 < value("rlvr", "still") < 0.4 and value("mle", "still") < 0.1
    assert 0.42 < value("rlvr", "repetition") < 0.5 and value("mle", "repetition") < 0.1
    assert side("video_small", "rlvr", "trivial", "greedy", "all", "lpips") == 0
    fewer = value("rlvr_repetition_penalty", "repetition") / value("rlvr", "repetition")
    assert fewer == pytest.approx(2 / 3, abs=0.08), "about a third fewer"
    for metric, decided in (("repetition", 1), ("lpips", 0)):
        assert side("video_small", "rlvr", "rlvr_repetition_penalty", "greedy", "all",
                    metric) == decided


def test_few_episodes_one_frame_ahead():
    record = load_result("video_small_single")
    gains = {}
    for decoding in ("greedy", "sampled", "best"):
        for likelihood in ("mle", "mle_continued"):
            assert side("video_small_single", "rlvr", likelihood, decoding, "all", "lpips") == -1
        d = find_difference(record, "rlvr", "mle", decoding, "all", "lpips")
        gains[decoding] = d["mean"] / find(record, "mle", decoding, "all", "lpips")["mean"]
    assert gains["greedy"] == pytest.approx(-0.2, abs=0.03) and gains["sampled"] < -0.25
    copied = find(record, "trivial", "greedy", "all", "lpips")["mean"]
    assert copied < 0.6 * find(record, "rlvr", "greedy", "all", "lpips")["mean"]
    for study in ("video_single", "video_multi", "video_lora", "video_small"):
        other = load_result(study)
        for decoding, gain in gains.items():
            d = find_difference(other, "rlvr", "mle", decoding, "all", "lpips")
            assert d["mean"] / find(other, "mle", decoding, "all", "lpips")["mean"] > gain


# ---- chapter 10: pace of the machine, diversity, cost ------------------------------------------


def token_us(method: str) -> float:
    """Microseconds per token that a run of the sweeps sampled (seed 0): a meter of the load."""
    log = [r for r in load_result("text_sweeps")["curves"][method] if "sample_s" in r]
    return 1e6 * sum(r["sample_s"] for r in log) / sum(r["tokens"] for r in log)


def test_all_weights_and_rank_1_had_the_faster_machine():
    steps, gains = costs("text_sweeps", "steps"), {
        m: find_difference(load_result("text_sweeps"), m, "mle", "greedy", "changed")
        for m in ("full", "rank=1")}
    rows = [m for m in load_result("text_sweeps")["curves"]
            if not m.startswith(("mle", "prompts=8"))]
    assert sorted(rows, key=token_us)[:2] == ["full", "rank=1"]
    assert token_us("rlvr") / token_us("full") == pytest.approx(1.5, abs=0.1), "half again"
    assert token_us("rank=1") == pytest.approx(token_us("full"), rel=0.05), "at the same speed"
    at_equal_speed = steps["rlvr"] * token_us("rlvr") / token_us("full")
    assert 0.85 < at_equal_speed / steps["full"] < 1, "nearly as many steps"
    assert gains["full"]["low"] > gains["rank=1"]["high"], "what stands"
    assert token_us("group=4") < 0.9 * token_us("rlvr")
    for method in ("group=2", "group=32"):
        assert token_us(method) == pytest.approx(token_us("rlvr"), rel=0.08)


def test_after_rl_a_hundred_samples_hold_three_fifths_as_many_frames():
    single = load_result("scaling_video_single")
    before, after = (find(single, m, "sampled", "best of 100", "distinct")["mean"]
                     for m in ("mle", "rlvr"))
    assert after / before == pytest.approx(3 / 5, abs=0.04)


def test_what_our_code_reached_of_its_targets():
    ratio = find(load_result("bench_text"), "TRL GRPO step / our GRPO step", "sampled",
                 metric="ratio")["mean"]
    assert ratio == pytest.approx(8, abs=0.5)
    sample, reward, update = (find(
        load_result("bench_text"), f"our GRPO step: {part}", "sampled", metric="seconds")["mean"]
        for part in ("sample", "reward", "update"))
    assert sample / (sample + reward + update) == pytest.approx(0.5, abs=0.05), "half"
    bench = load_result("bench_roofline")
    reached = [find(bench, "sampling", "sampled", f"rows={n}", "achieved")["mean"]
               for n in (64, 128, 256)]
    assert min(reached) > 0.28 and max(reached) < 0.38, "about a third"
    assert find(bench, "sampling", "sampled", "width=256", "achieved")["mean"] > 0.5


def test_rlvr_takes_as_long_as_mle_or_longer_where_curves_are_shown():
    for record in ("text_serial", "video_multi"):
        spent = costs(record, "cpu_seconds")
        assert spent["rlvr"] > 0.95 * spent["mle_continued"]
        assert spent["rlvr"] > 0.95 * spent["mle"]
    sizes = costs("video_multi", "samples"), costs("text_serial", "samples")
    assert all(0.5 < s["rlvr"] / s["mle"] < 1 for s in sizes), "no longer hardly begun"


def test_the_papers_counts_as_orders_of_magnitude():
    for cost in paper.VIDEO_TRAINING.values():
        mle, rl = cost["mle"], cost["rlvr"]
        assert 1e3 < mle[0] / rl[0] < 1e4 and mle[0] * mle[1] / (rl[0] * rl[1]) < 100
        assert 10 < mle[2] / rl[2] < 100
    for world in ("text game", "web pages"):
        assert paper.GPU_HOURS[world][0] < paper.GPU_HOURS[world][1], "the sign turns round"


def test_silence_about_hidden_pages_did_not_come_over_from_visible_ones():
    web = load_result("web_pages")
    levels = [find(web, m, "greedy", "hidden", "f1")["mean"] for m in ("mle", "rlvr_visible")]
    assert levels[1] == pytest.approx(levels[0], abs=0.02)
    for other in ("mle", "mle_continued", "rlvr_visible"):
        assert side("web_pages", "rlvr", other, "greedy", "hidden", "f1") == 1
        assert side("web_pages", "rlvr", other, "greedy", "held_out", "f1") == 0
