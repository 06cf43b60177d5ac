"""The errors of a distribution derive from its one root, and that from TongbanError, except in
tongban_kafka, which knows nothing of tongban."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

import pytest

import tongban_common
import tongban_connectors
import tongban_kafka
import tongban_notify
import tongban_printing
import tongban_provinces
import tongban_router
from tongban_common.errors import CommonError, TongbanError
from tongban_common.faultpoints import InjectedFaultError
from tongban_connectors.errors import ConnectorsError
from tongban_kafka import MessagingError, Poison, Retry
from tongban_notify.errors import NotifyError
from tongban_printing.errors import PrintingError
from tongban_provinces.errors import ProvincesError
from tongban_router.errors import RouterError


def _errors_of(package: ModuleType) -> set[type[Exception]]:
    names = [
        found.name for found in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    ]
    return {
        value
        for name in names
        for value in vars(importlib.import_module(name)).values()
        if isinstance(value, type)
        and issubclass(value, Exception)
        and value.__module__.startswith(package.__name__ + ".")
    }


@pytest.mark.parametrize(
    ("package", "root"),
    [
        (tongban_common, CommonError),
        (tongban_kafka, MessagingError),
        (tongban_printing, PrintingError),
        (tongban_notify, NotifyError),
        (tongban_provinces, ProvincesError),
        (tongban_router, RouterError),
        (tongban_connectors, ConnectorsError),
    ],
)
def test_errors_of_distribution_have_one_root(package: ModuleType, root: type[Exception]) -> None:
    # No code may catch an injected fault, so it has no root. The others are a handler's verdicts.
    errors = {
        error
        for error in _errors_of(package) - {TongbanError, InjectedFaultError}
        if not issubclass(error, Retry | Poison)
    }
    assert root in errors
    assert all(issubclass(error, root) for error in errors), errors
    assert all(error.__name__.endswith("Error") for error in errors)
