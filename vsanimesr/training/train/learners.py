"""What a run trains: the networks, their optimisers, and the running average of the generator."""

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Adam

from vsanimesr.training import checkpoint
from vsanimesr.training.networks import layout
from vsanimesr.training.networks.discriminator import MultiScaleDiscriminator
from vsanimesr.training.train import parts, recipe


class Critics:
    """The discriminators, and their optimiser."""

    def __init__(self, gan: recipe.Gan, options: recipe.Optimizer, device: torch.device) -> None:
        """Draw their first weights from torch's own generator of numbers."""
        self.network = layout.place(MultiScaleDiscriminator(gan.scales), device)
        self.adam = _adam(self.network, options, gan.lr)


class Learners:
    """All that changes while a run goes on, but for the generators of random numbers."""

    def __init__(
        self,
        generator: nn.Module,
        options: recipe.Optimizer,
        settings: recipe.Train,
        gan: recipe.Gan | None,
        device: torch.device,
    ) -> None:
        """Begin with the generator's weights as they are.

        Args:
            generator: Moved to the device, and trained in place.
            options: Adam's.
            settings: Of which the precision, and what stays of the average, are used.
            gan: Wants discriminators; None: there are none.
            device: Of all of it.
        """
        self.generator = layout.place(generator, device)
        self.average = copy.deepcopy(generator).requires_grad_(False)
        self.adam = _adam(generator, options, options.lr)
        self.critics = Critics(gan, options, device) if gan else None
        self.scaler = torch.GradScaler(device.type, enabled=settings.precision == "fp16")
        self._options, self._ema = options, settings.ema

    def begin(self, iteration: int) -> None:
        """Set the learning rates of an iteration, the first being 0."""
        for adam in (self.adam, *((self.critics.adam,) if self.critics else ())):
            for group in adam.param_groups:
                group["lr"] = group["initial_lr"] * recipe.rate(self._options, iteration)

    def follow(self) -> None:
        """Let the running average follow the generator."""
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.generator.parameters(), strict=True)
            for slow, fast in pairs:
                slow.lerp_(fast, 1 - self._ema)

    def state(self) -> checkpoint.State:
        """For a checkpoint."""
        state: checkpoint.State = {
            checkpoint.PARAMS: self.generator.state_dict(),
            checkpoint.EMA: self.average.state_dict(),
            "adam": self.adam.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        if self.critics:
            state["discriminator"] = self.critics.network.state_dict()
            state["adam_of_discriminator"] = self.critics.adam.state_dict()
        return cast(checkpoint.State, layout.plain(state))

    def pattern(self) -> checkpoint.State:
        """What `state` looks like after an iteration or more; its numbers mean nothing."""
        pattern = self.state() | {"adam": parts.of_adam(self.adam)}
        if self.critics:
            pattern["adam_of_discriminator"] = parts.of_adam(self.critics.adam)
        return pattern

    def restore(self, state: checkpoint.State) -> None:
        """Go back to what `state` gave, out of a checkpoint that has all of `pattern`."""
        self.generator.load_state_dict(state[checkpoint.PARAMS])
        self.average.load_state_dict(state[checkpoint.EMA])
        _restore(self.adam, state["adam"])
        self.scaler.load_state_dict(state["scaler"])
        if self.critics:
            self.critics.network.load_state_dict(state["discriminator"])
            _restore(self.critics.adam, state["adam_of_discriminator"])


def _adam(module: nn.Module, options: recipe.Optimizer, lr: float) -> Adam:
    groups: list[dict[str, Any]] = [{"params": list[Tensor](module.parameters()), "initial_lr": lr}]
    return Adam(groups, lr=lr, betas=options.betas)


def _restore(adam: Adam, state: checkpoint.State) -> None:
    """Give Adam its memories, each as its parameter lies."""
    adam.load_state_dict(state)
    for value, memories in adam.state.items():
        for name in parts.MEMORIES:
            memories[name] = torch.empty_like(value).copy_(memories[name])
