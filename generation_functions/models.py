"""Which engine plays which role: the small model judges and writes pairs, the large one writes conversations.

    models = Models(config)
    engine = await models.ready("large")   # ends the small local model first, then loads the large one

Nothing is loaded before the first call, so a run with nothing left to do loads no model at all.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from . import hub
from .api import Api
from .config import COHERE_URL, Config
from .engine import Engine, Sample
from .errors import ConfigError
from .local import Local
from .purse import Price
from .server import Server
from .sizing import CALLS_ON_CPU, RopeScaling, Settings
from .stage import Model
from .traffic import Traffic

Role = Literal["small", "large"]
ROLES: tuple[Role, ...] = ("small", "large")

WAITING = 4  # calls that may stand ready for each one in flight, so that a server never waits for the next


@dataclass(frozen=True, slots=True)
class ModelState:
    """A model as it is now: `state` is "not loaded", "loading 40%", "loaded, 1,040 MiB; context 12000 tokens, ..."."""

    role: str
    name: str
    state: str


class Models:
    """The engines of a configuration, made when they are first needed; `say` hears what is being loaded."""

    def __init__(self, config: Config, say: Callable[[str], None] = lambda line: None) -> None:
        self._config, self._say = config, say
        self._engines: dict[str, Engine] = {}
        self._servers: dict[tuple[str, str], Server] = {}  # two models at one address share its traffic
        self._starting = asyncio.Lock()  # many calls wait for a model at once; one of them loads it
        self._mode = config["SYSTEM.MODE"]
        self._bringing = ""
        self._brought: dict[str, Path] = {}  # by their names, models that came from a hub

    def check(self) -> None:
        """Raises ConfigError for what can be seen wrong before anything is loaded."""
        for role in ROLES if self._mode != "sample" else ():
            self._made(role)

    def model(self, role: Role) -> Model:
        """What a step needs of a role; two roles with the same model share its engine."""
        limit = self._config["SYSTEM.CONCURRENCY_LIMIT"]
        return Model(self.name(role), partial(self.ready, role), limit * (WAITING if self.served else 1))

    @property
    def served(self) -> bool:
        """Whether the models live behind servers."""
        return self._mode not in ("local", "sample")

    @property
    def at_once(self) -> int:
        """About how many calls are answered at the same time."""
        limit = self._config["SYSTEM.CONCURRENCY_LIMIT"]
        return min(limit, self._config["LOCAL.SEQUENCES"] or CALLS_ON_CPU) if self._mode == "local" else limit

    @property
    def prices(self) -> dict[str, Price]:
        """What each model costs, by its name; a role without prices of its own has the other's at the same address."""
        if not self.served:
            return {}
        prices = {self.name(role): _price(self._config, role) for role in reversed(ROLES)}
        return {name: price for name, price in prices.items() if price != Price()}

    def name(self, role: Role) -> str:
        """The model as the configuration writes it; known before it is loaded."""
        if self._mode == "sample":
            return Sample.name
        return str(self._either("API.LARGE_LOGICAL_MODEL", "API.LOGICAL_MODEL", role))

    async def ready(self, role: Role) -> Engine:
        """The role's engine, able to answer.

        Two local models are never in memory together. Raises EngineError.
        """
        name = self._key(role)
        async with self._starting:
            if name not in self._engines:
                if self._mode == "local":
                    await self.close()
                    await self._bring(role)
                    self._say(f"loading {self.name(role)}")
                self._engines[name] = self._made(role)
            engine = self._engines[name]
            before = getattr(engine, "about", "")
            await engine.start()
            if isinstance(engine, Api) and not before:
                self._say(f"{self.name(role)} at {self._address(role)}: {engine.about}")
        return engine

    @property
    def states(self) -> list[ModelState]:
        """Each role's model as it is now."""
        roles = ROLES if self.name("small") != self.name("large") else ROLES[:1]
        return [
            ModelState(role if len(roles) > 1 else "model", self.name(role), self._state(role))
            for role in roles
        ]

    def _state(self, role: Role) -> str:
        engine = self._engines.get(self._key(role))
        if isinstance(engine, Sample) or self._mode == "sample":
            return "random answers, no model"
        if isinstance(engine, Local) and engine.loaded:
            memory = f", {engine.memory / 2**20:,.0f} MiB" if engine.memory else ""
            return f"loaded{memory}; {engine.about}" if engine.about else f"loading {engine.loaded:.0%}"
        if self.served:
            return f"at {self._address(role)}{about(engine) if engine else ''}"
        return "not loaded"

    @property
    def waiting(self) -> str:
        """What calls wait for at the moment, for people; "" when they do not."""
        return self.loading or next((note for s in self._servers.values() if (note := s.traffic.note)), "")

    @property
    def loading(self) -> str:
        """What is being brought or loaded and how far it is, for people; "" when nothing is."""
        if self._bringing:
            return self._bringing
        for engine in list(self._engines.values()):
            if isinstance(engine, Local) and self._starting.locked() and engine.loaded < 1:
                return f"loading {engine.name}: {engine.loaded:.0%}"
        return ""

    async def close(self) -> None:
        """End every engine; their memory is free when this returns."""
        while self._engines:
            await self._engines.popitem()[1].close()

    def _made(self, role: Role) -> Engine:
        config = self._config
        if self._mode == "sample":
            return Sample()
        if not self.name(role):
            raise ConfigError("API.LOGICAL_MODEL is empty: name a model")
        if self._mode == "local":
            return self._local(role)
        address = self._address(role)
        if not address:
            raise ConfigError(
                f"API.BASE_URL is empty: SYSTEM.MODE {self._mode} needs the address of a server"
            )
        return Api(
            self._server(address, self._either("API.LARGE_API_KEY", "API.API_KEY", role)),
            self.name(role),
            completion_mode=config["SYSTEM.COMPLETION_MODE"] is True,
            grammar=config["API.GRAMMAR"],
            send_stop=config["SYSTEM.STOP"],
        )

    def _server(self, address: str, key: str) -> Server:
        if (address, key) not in self._servers:
            config = self._config
            traffic = Traffic(
                config["SYSTEM.CONCURRENCY_LIMIT"],
                calls_a_minute=config["API.RPM"],
                tokens_a_minute=config["API.TPM"],
            )
            self._servers[address, key] = Server(address, key, traffic, timeout_seconds=config["API.TIMEOUT"])
        return self._servers[address, key]

    def _local(self, role: Role) -> Local:
        key = "API.LOGICAL_MODEL"
        if role == "large" and self._config["API.LARGE_LOGICAL_MODEL"]:
            key = "API.LARGE_LOGICAL_MODEL"
        file = self._brought.get(self.name(role)) or self._config.path(key)
        if not hub.parse(self.name(role)) and not file.is_file():
            raise ConfigError(f"{key}: there is no model file {file}; `make run` brings the default one")
        return Local(file, _settings(self._config))

    async def _bring(self, role: Role) -> None:
        """Download the role's model where its name is one of a hub's, unless it is there."""
        name = self.name(role)
        address = hub.parse(name)
        if not address:
            return

        def tell(so_far: int, in_all: int) -> None:
            self._bringing = f"downloading {address.file}: {so_far / 1e6:,.0f} of {in_all / 1e6:,.0f} MB"

        stop = threading.Event()
        try:
            folder = self._config.folder / "logical_models"
            self._brought[name] = await asyncio.to_thread(hub.fetch, address, folder, tell, stop)
        finally:
            stop.set()  # when this was cancelled the thread goes on otherwise
            self._bringing = ""

    def _key(self, role: Role) -> str:
        return f"{self.name(role)} {self._address(role)}"

    def _address(self, role: Role) -> str:
        if self._mode in ("local", "sample"):
            return ""
        return str(self._either("API.LARGE_BASE_URL", "API.BASE_URL", role)) or (
            COHERE_URL if self._mode == "cohere" else ""
        )

    def _either(self, large: str, small: str, role: Role) -> str:
        value = self._config[large] if role == "large" else ""
        return value or self._config[small]


def about(engine: Engine) -> str:
    """What a local engine chose, or what was found out about a server; the sample has nothing to say."""
    return f": {engine.about}" if isinstance(engine, Local | Api) else ""


def _price(config: Config, role: Role) -> Price:
    prefix = "API.LARGE_" if role == "large" and config["API.LARGE_LOGICAL_MODEL"] else "API."
    prompt, cached = config[f"{prefix}PROMPT_PRICE"], config[f"{prefix}CACHED_PRICE"]
    return Price(prompt, prompt if cached < 0 else cached, config[f"{prefix}COMPLETION_PRICE"])


def _settings(config: Config) -> Settings:
    """The section LOCAL, and the form in which the model is asked."""
    completion_mode, attention = config["SYSTEM.COMPLETION_MODE"], config["LOCAL.FLASH_ATTENTION"]
    return Settings(
        context=config["LOCAL.CONTEXT"],
        rope=RopeScaling(
            config["LOCAL.ROPE_SCALING"], config["LOCAL.ROPE_FREQ_BASE"], config["LOCAL.ROPE_FREQ_SCALE"]
        ),
        sequences=config["LOCAL.SEQUENCES"],
        gpu_layers=config["LOCAL.GPU_LAYERS"],
        threads=config["LOCAL.THREADS"],
        batch=config["LOCAL.BATCH"],
        flash_attention=None if attention == "auto" else attention,
        kv_type=config["LOCAL.KV_TYPE"],
        completion_mode=None if completion_mode == "auto" else completion_mode,
    )
