"""The dashboard of printers and messages."""

from __future__ import annotations

from tools.observability.board_flow import RATE, quantile
from tools.observability.model import Board, Panel, Query, Row

DEVICES = Board(
    "tongban-devices",
    "tongban: devices and messages",
    "Printers and SMS providers: what waits for which of them, and how long they take.",
    [
        Row(
            "Printing",
            [
                Panel(
                    "Orders that wait, by reason",
                    "queue is work ahead; person is a question to a lobby manager; all others are "
                    "troubles of a printer. See PrinterTrouble and PrintQuestionUnanswered.",
                    [Query("max by (reason) (tongban_printing_waiting_orders)", "{{reason}}")],
                ),
                Panel(
                    "Changes of orders",
                    "By new status, a second. Many needs_confirmation: a printer forgets its "
                    "jobs or loses its connection in the middle.",
                    [
                        Query(
                            f"sum by (status) (rate(tongban_printing_orders_total[{RATE}]))",
                            "{{status}}",
                        )
                    ],
                ),
                Panel(
                    "From the spool to the last sheet",
                    "Wall clock, first copies and reprints. It is the printers' share of the time "
                    "to paper.",
                    [
                        Query(quantile(0.5, "tongban_printing_seconds"), "p50"),
                        Query(quantile(0.99, "tongban_printing_seconds"), "p99"),
                    ],
                    unit="s",
                    limit=60,
                ),
                Panel(
                    "Seconds to render a document",
                    "If it rises with the load, printing needs another replica.",
                    [Query(quantile(0.99, "tongban_printing_render_seconds"), "p99")],
                    unit="s",
                ),
                Panel(
                    "Operations that printers failed",
                    "A second. Some are normal where a printer is switched off; each is tried "
                    "again.",
                    [Query(f"sum(rate(tongban_printing_printer_troubles_total[{RATE}]))")],
                ),
                Panel(
                    "Faults of the program",
                    "In an hour, by job. Not 0: read the log events order_failed, kiosk_failed "
                    "and questions_failed; see ProgramFault.",
                    [Query("sum by (job) (increase(tongban_printing_faults_total[1h]))")],
                    single=True,
                    limit=1,
                ),
            ],
        ),
        Row(
            "Messages",
            [
                Panel(
                    "Providers",
                    "1 while the provider's circuit is closed. 0: see SmsProviderDown.",
                    [Query("min by (provider) (tongban_notify_provider_up)", "{{provider}}")],
                    single=True,
                ),
                Panel(
                    "Attempts by outcome",
                    "unclear is looked up before anything is sent again; refused is a number that "
                    "no provider reaches.",
                    [
                        Query(
                            "sum by (provider, outcome) "
                            f"(rate(tongban_notify_messages_total[{RATE}]))",
                            "{{provider}} {{outcome}}",
                        )
                    ],
                ),
                Panel(
                    "Seconds of a call, p99",
                    "By provider. Near the time-out, outcomes turn unclear.",
                    [
                        Query(
                            quantile(0.99, "tongban_notify_send_seconds", "provider"),
                            "{{provider}}",
                        )
                    ],
                    unit="s",
                ),
                Panel(
                    "Messages that wait, by reason",
                    "quiet is meant, at night. provider: no provider takes messages, see "
                    "MessagesNotSent.",
                    [Query("sum by (reason) (tongban_notify_waiting_messages)", "{{reason}}")],
                ),
            ],
        ),
    ],
)
