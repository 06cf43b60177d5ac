"""Build Grafana's JSON from the description of a dashboard, with grafana-foundation-sdk."""

from __future__ import annotations

import json

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import GraphTresholdsStyleMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)

from tools.observability.model import Board, Panel

_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
ANNOTATIONS = {
    "Alerts": ('max by (alertname, severity) (ALERTS{alertstate="firing"}) > 0', "red"),
    "Restarts": ("changes(process_start_time_seconds[2m]) > 0", "blue"),
}
"""Query and colour by name."""
_WIDTH = 24
_ACROSS = 3
_HEIGHT = 8


def as_json(board: Board) -> str:
    """Return the dashboard as Grafana imports it."""
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags(["tongban"])
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(
            dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
        )
    )
    for label in board.variables:
        made = made.with_variable(_variable(label, board))
    for name, (query, colour) in ANNOTATIONS.items():
        made = made.annotation(
            dashboard.AnnotationQuery()
            .name(name)
            .datasource(_SOURCE)
            .enable(True)
            .icon_color(colour)
            .expr(query)
        )
    for row in board.rows:
        made = made.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            made = made.with_panel(_panel(panel))
    encoded = json.dumps(made.build(), cls=JSONEncoder, indent=1, ensure_ascii=False)
    return encoded + "\n"


def _variable(label: str, board: Board) -> dashboard.QueryVariable:
    """Return a variable with the values of a label; each depends on the ones before it."""
    before = board.variables[: list(board.variables).index(label)]
    chosen = ", ".join(f'{each}=~"${each}"' for each in before)
    selector = f"tongban_build_info{{{chosen}}}" if chosen else "tongban_build_info"
    return (
        dashboard.QueryVariable(label)
        .label(label)
        .datasource(_SOURCE)
        .query(f"label_values({selector}, {label})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .include_all(True)
        .multi(True)
        .all_value(".+")
    )


def _panel(panel: Panel) -> stat.Panel | timeseries.Panel:
    made: stat.Panel | timeseries.Panel
    if panel.single:
        made = stat.Panel()
    else:
        made = timeseries.Panel().min(0).fill_opacity(10).line_width(1)
        if panel.limit is not None:
            mode = GraphTresholdsStyleMode.LINE
            made = made.thresholds_style(common.GraphThresholdsStyleConfig().mode(mode))
    steps = [Threshold(value=None, color="green")]
    if panel.limit is not None:
        steps.append(Threshold(value=panel.limit, color="red"))
    made = (
        made.title(panel.title)
        .description(panel.description)
        .datasource(_SOURCE)
        .unit(panel.unit)
        .span(_WIDTH // _ACROSS)
        .height(_HEIGHT)
        .thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    )
    for number, query in enumerate(panel.queries):
        target = prometheus.Dataquery().expr(query.expr).ref_id(chr(ord("A") + number))
        target = target.legend_format(query.legend or "__auto")
        made = made.with_target(target.instant() if panel.single else target.range())
    return made
