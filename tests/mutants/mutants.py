"""Changes that a test must notice: each breaks one line that joins two parts, or one that a promise rests on."""

from __future__ import annotations

from dataclasses import dataclass

WIRING, LIFE = "tests/test_wiring.py", "tests/test_lifecycle.py"
GATES, LEDGER = "tests/training/judge/test_gates.py", "tests/training/model/proof/test_ledger.py"
SPLIT, DRIFT = "tests/training/data/test_split.py", "tests/monitoring/watch/test_drift.py"
SCORE, DECIDE = "tests/serving/answer/test_score.py", "tests/serving/answer/test_decide.py"
APP, LOG = "tests/serving/api/test_app.py", "tests/serving/records/test_prediction_log.py"


@dataclass(frozen=True)
class Mutant:
    """One change.

    Attributes
    ----------
    file, line, change
        In this file of the checkout this text, which stands there once, becomes that one.
    tests
        Who must notice.
    """

    file: str
    line: str
    change: str
    tests: tuple[str, ...]


def mutants_of(file: str, tests: str, *changes: tuple[str, str]) -> list[Mutant]:
    """Several changes of one file that the same tests must notice."""
    return [Mutant(file, line, change, tuple(tests.split())) for line, change in changes]


MUTANTS = [
    # the recipe
    *mutants_of(
        "training/fit/recipe.py",
        WIRING,
        ("assembly.learn(early, plan.train_for_holdout, result", "assembly.learn(whole, plan.final, result"),
        ("assembly.learn(whole, plan.final, in_season(", "assembly.learn(early, plan.train_for_holdout, in_season("),
        ("then, settings, move)\n    later = earlier +", "then, settings, move)\n    later ="),
        (
            "    earlier = assembly.validation_scores(folds, result, seed)\n",
            "    earlier = assembly.score_rows(*assembly.learn(early, plan.train_for_holdout, result, settings), early.training_rows(plan.holdout))\n",
        ),
    ),
    *mutants_of(
        "training/fit/value/recent.py",
        "tests/training/fit/value/test_recent.py",
        ("dates + horizon <= moment", "dates < moment"),
        (
            'now = history.rows["as_of"].max() if until is None else until',
            'now = history.rows["as_of"].max()',
        ),
        ("days for days in clv.step_horizons if days <= passed", "days for days in clv.step_horizons"),
    ),
    *mutants_of(
        "training/run.py",
        WIRING,
        (
            "examine(models.judged, held_out, seen, settings)\n        returns",
            "examine(models.final, held_out, seen, settings)\n        returns",
        ),
        (
            "decision = judge(data, models, examination, champions, settings)",
            "decision = judge(data, models, examination, [], settings)",
        ),
        ("    model_registry.apply_decision(workspace, version, decision, by)\n", ""),
        ("held_out, seen = data.at(models.plan.holdout)", "held_out, seen = data.at(models.plan.train_for_holdout)"),
    ),
    *mutants_of(
        "training/run.py",
        "tests/test_gate.py tests/training/test_run.py",
        (
            "    started_at = datetime.now(UTC)\n    quality_verdict.require(workspace)\n",
            "    started_at = datetime.now(UTC)\n",
        ),
        (
            "    overrides.check_leaks(settings, workspace, asked, by, accepted_leaks, reason, by_values=enough)\n",
            "",
        ),
    ),
    *mutants_of(
        "training/judge/verdict.py",
        WIRING,
        (
            "judge_examined(data.task, examination, before, settings)",
            "judge_examined(data.task, examination, [], settings)",
        ),
        (
            "metrics, baseline = examination.rows, examination.model, examination.baseline",
            "metrics, baseline = examination.rows, examination.model, examination.model",
        ),
    ),
    *mutants_of(
        "training/data/split.py",
        SPLIT,
        ("if a + horizon <= by)", "if a <= by)"),
        ("if a + horizon <= by)", "if a + horizon < by)"),
        ("holdout = tuple(labelled[-holdout_as_ofs:])", "holdout = tuple(labelled[:holdout_as_ofs])"),
        ("train = matured(labelled, horizon_days, by=holdout[0])", "train = tuple(labelled)"),
        ("if fold.train][-n_folds:]", "if fold.train][:n_folds]"),
        (
            "tuple(rolling_origin(train, horizon_days, n_folds))",
            "tuple(rolling_origin(labelled, horizon_days, n_folds))",
        ),
    ),
    # the gates
    *mutants_of(
        "training/judge/gates.py",
        GATES,
        ("return Decision(not failed,", "return Decision(True,"),
        ("if group.rows >= MIN_GROUP", "if group.rows < MIN_GROUP"),
        ("level = 1 - (1 - COVERAGE_LEVEL) / (1 + len(groups))", "level = 0.5"),
        ("least, most = (-high, -low) if name in RISING else (low, high)", "least, most = low, high"),
        ("allowed = champion_is_prior is not False", "allowed = True"),
    ),
    *mutants_of(
        "training/judge/checks.py",
        "tests/training/judge/test_checks.py",
        ('"failed", f"{of}: worse beyond chance")', '"passed", f"{of}: worse beyond chance")'),
        ("champion.loss * (1 + slack)", "champion.loss * (1 - slack)"),
        ("if miss <= tolerance + ROUNDING else", "if miss >= tolerance else"),
        ("edge = target - tolerance if share < target", "edge = target - tolerance if share > target"),
        ('sign = f"beats_baseline_{metric}", -1 if metric in RISING else 1', 'sign = f"beats_baseline_{metric}", 1'),
        ("level = 1 - (1 - _level(metric, margin)) / n_champions", "level = _level(metric, margin)"),
        ('    if metric != "log_loss":\n        return LEVEL\n', "    return LEVEL\n"),
        ("return not abs(distance) > margin.reach(level)", "return True"),
        ("return not abs(distance) > margin.reach(level)", "return False"),
        ("float(metrics.get(key, math.nan))", "float(metrics.get(key, 0.0))"),
    ),
    *mutants_of(
        "training/margins.py",
        "tests/training/test_margins.py",
        ("np.bincount(codes, weights=influence) ** 2", "influence**2"),
        ("min(informative - 1.0, 2 * total**2 / spread if spread > 0 else math.inf)", "customers - 1.0"),
        ("measured[0][1] - (measured[1][1] if other is not None else 0.0)", "measured[0][1]"),
    ),
    *mutants_of(
        "training/judge/interval_coverage.py",
        "tests/training/judge/test_interval_coverage.py",
        ("float(np.clip(as_many, fewest, n))", "float(n)"),
        ("total += part.sum() * max(target, narrowest)", "total += part.sum() * target"),
        ("held - min(at_low, at_high) < target", "held - max(at_low, at_high) < target"),
    ),
    # the registry and its ledger
    *mutants_of(
        "training/registry/model_registry.py",
        WIRING,
        ('action = "promote" if decision.promote else "reject"', 'action = "promote"'),
        ('alias = CHALLENGER if action == "reject" else CHAMPION', "alias = CHAMPION"),
        ("if not passed and not override:", "if False:"),
        ("    require_reason(reason)\n    return", "    return"),
        ("previous=serving_version.version if serving_version else None", "previous=None"),
        (
            'registered_bundle(workspace, known, "judged")',
            'registered_bundle(workspace, known, "bundle")',
        ),
    ),
    *mutants_of(
        "training/registry/model_registry.py",
        "tests/test_workspace_moves.py",
        ('decide(workspace, "rollback", model, before', 'decide(workspace, "reject", model, before'),
    ),
    *mutants_of(
        "training/registry/record.py",
        WIRING,
        ('{"gates": "passed" if decision.passed else "failed"}', '{"gates": "passed"}'),
        (
            "number = run.register(final, models.judged or final",
            "number = run.register(models.judged or final, models.judged or final",
        ),
        ("data.fingerprint, ROWS)", '"constant", ROWS)'),
    ),
    *mutants_of(
        "training/model/proof/ledger.py",
        LEDGER,
        ("(records[-1].entry + 1, records[-1].sha256)", "(records[-1].entry + 1, START)"),
        ("        records = _verify(_contents(file), path)\n", "        records = []\n"),
    ),
    *mutants_of(
        "training/model/catalog.py",
        "tests/training/model/test_catalog.py",
        ("if CHAMPION in v.aliases", "if v.aliases or True"),
        ("ORDER BY version DESC", "ORDER BY version"),
        ('f"WHERE name = ? AND {LIVING}', 'f"WHERE name = ?'),
    ),
    *mutants_of(
        "configs/tracking.py",
        "tests/configs/test_tracking.py",
        ('return f"{here}{rest}" if is_artifact else address', "return address"),
        ('before.startswith("file:") and', ""),
    ),
    *mutants_of(
        "configs/fingerprint.py",
        "tests/configs/test_fingerprint.py",
        ('rglob(f"*{suffix}")', 'glob(f"*{suffix}")'),
        ("upto = PACKAGES[: PACKAGES.index(package) + 1]", "upto = (package,)"),
    ),
    *mutants_of(
        "training/fingerprints.py",
        WIRING,
        ('    code = code_fingerprint("training")\n', '    code = "constant"\n'),
        ('    rows = files_fingerprint(workspace.features.glob("*.parquet"))\n', '    rows = "constant"\n'),
        ('names = ("churn", "clv", "columns", "minimum", "gates"', 'names = ("churn", "clv", "columns", "minimum"'),
    ),
    *mutants_of(
        "serving/bulk/fingerprints.py",
        WIRING,
        ('    code = code_fingerprint("serving")\n', '    code = "constant"\n'),
        ("champion_versions(workspace, settings.tasks)", "None"),
    ),
    *mutants_of(
        "monitoring/fingerprints.py",
        WIRING,
        ('    code = code_fingerprint("monitoring")\n', '    code = "constant"\n'),
        ('versions = [getattr(catalog.champion(workspace, task), "version", None)', "versions = [None"),
    ),
    # the watch
    *mutants_of(
        "monitoring/run.py",
        WIRING,
        ("drift_table(bundle.reference, current,", "drift_table(current, current,"),
        ('select_top(scored["forecast"], share', 'select_top(-scored["forecast"], share'),
        (
            "    _, judged = model_registry.bundles(workspace, task, version)\n",
            "    judged, _ = model_registry.bundles(workspace, task, version)\n",
        ),
    ),
    *mutants_of(
        "monitoring/watch/drift.py",
        DRIFT,
        ("& (corrected <= monitoring.drift_p_value)", ""),
        (">= monitoring.drift_effect).to_numpy()", ">= 0).to_numpy()"),
        (">= monitoring.drift_min_rows).to_numpy()", ">= 0).to_numpy()"),
    ),
    *mutants_of(
        "features/fingerprints.py",
        WIRING,
        ('    code = code_fingerprint("features")\n', '    code = "constant"\n'),
    ),
    # intervals
    *mutants_of(
        "training/fit/assembly.py",
        "tests/training/fit/test_assembly.py",
        ("        tier_edges=tier_edges(bundle, settings.decisions.tiers),\n", ""),
        ("        new_days=settings.decisions.stages.new_days,\n", ""),
    ),
    *mutants_of(
        "training/model/conformal.py",
        "tests/training/model/test_conformal.py",
        ("lacking = max(0, rows - (stop - start))", "lacking = 0"),
        (
            "high = max(self._quantile(ratio, coverage + under), self._inner(start, stop, below=False))",
            "high = self._quantile(ratio, coverage + under)",
        ),
    ),
    # the service
    *mutants_of(
        "serving/bulk/parts.py",
        "tests/serving/bulk/test_parts.py",
        ("found.inputs == inputs and ", ""),
        ("bisect_right(self.plan.bounds, i) - 1", "bisect_right(self.plan.bounds, i) // 2"),
    ),
    *mutants_of(
        "serving/answer/score.py",
        SCORE,
        ("churn_matrix[active], active_rows", "churn_matrix, rows"),
        ("age > settings.serving.stale_after_hours * 3600 or", "False or"),
        ('"basis": min(bases, key=BASES.index)', '"basis": max(bases, key=BASES.index)'),
        ("bad = int((~np.isfinite(prediction)).sum())", "bad = 0"),
    ),
    *mutants_of(
        "serving/answer/reasons.py",
        "tests/serving/answer/test_reasons.py",
        ("order = np.argsort(-np.abs(sums), axis=1", "order = np.argsort(sums, axis=1"),
        ("told &= (sums > 0) | ~", "told &= True | ~"),
        ("np.add.reduceat(effects[:, topics], starts, axis=1)", "effects[:, topics[starts]]"),
    ),
    *mutants_of(
        "serving/api/gate.py",
        "tests/serving/api/test_gate.py",
        ("        if is_there and not may(", "        if False and not may("),
        ("            await self._admit(scope)\n", "            pass\n"),
    ),
    *mutants_of(
        "serving/api/resources/customers.py",
        "tests/serving/api/test_gate.py",
        ("query, await seen(request.scope)", "query, None"),
        ('"in_file": files.count(at.file, shown)', '"in_file": at.file.customers'),
    ),
    *mutants_of(
        "serving/api/resources/past_predictions.py",
        "tests/serving/api/test_gate.py",
        ('or not await visible(request.scope, [record.summary["customer_id"]])', ""),
    ),
    *mutants_of(
        "serving/access/keys.py",
        "tests/serving/access/test_keys.py",
        ("key_id, name, role, key.hash, now", "key_id, name, role, secret.encode(), now"),
    ),
    *mutants_of(
        "serving/access/key_check.py",
        "tests/serving/access/test_key_check.py",
        ("bool(self._known) or bool(fault) or closed_mark(self._path).exists()", "bool(self._known)"),
        (
            '!= "valid":\n            raise NotAuthenticatedError(f"the key is',
            '== "none":\n            raise NotAuthenticatedError(f"the key is',
        ),
    ),
    *mutants_of(
        "serving/answer/decide.py",
        DECIDE,
        ("recency > activity_days,", "recency >= 0,"),
        ("and (not r.band or band in r.band)", "and (not r.band or True)"),
        ("if (contact is None or r.contact in (contact, None))", "if True"),
    ),
    *mutants_of(
        "serving/api/endpoints.py",
        APP,
        ("            await self._logging.ask((found.answers, asker), len(found.answers))\n", "            pass\n"),
        (
            "            raise UnavailableError(NOT_LOGGED) from None\n",
            "            pass\n",
        ),
        ("        if request.app.state.draining:\n", "        if False:\n"),
        ("        if missing:\n", "        if False:\n"),
    ),
    *mutants_of(
        "serving/records/prediction_log.py",
        LOG,
        ('"at >= ?": None', '"at > ?": None'),
        ("                last = self._chain(entries)\n", "                last = self.store.end()\n"),
    ),
    *mutants_of(
        "serving/records/postgres_store.py",
        "tests/serving/records/test_postgres_store.py",
        ('        yield "SET LOCAL synchronous_commit = on"\n', ""),
        ('                self._writer.run("VACUUM (FULL) persons")\n', "                pass\n"),
        ("                self._found_locked = time.monotonic()\n", ""),
    ),
]
