"""The learning rate of every step, and where a rung ends.

Warm-up and half a cosine: Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983, without restarts.
Warm-up, stable, decay: Hu et al. 2024, https://arxiv.org/abs/2404.06395, section 4; that decays from one
stable run stand for trainings of many lengths is measured by Haegele et al. 2024,
https://arxiv.org/abs/2405.18392, section 4.
"""

import math

from archsearch.proxy.recipe import Recipe


def learning_rate(step: int, steps: int, recipe: Recipe, end: int | None = None) -> float:
    """The rate of ``step``, from 0, in a training of ``steps``.

    Under ``wsd`` it would reach 0 at ``end``, which is ``steps`` unless a copy is annealed before.
    """
    rising = round(recipe.warmup * steps)
    if step < rising:
        return recipe.learning_rate * (step + 1) / rising
    if recipe.schedule == "cosine":
        return recipe.learning_rate * (1 + math.cos(math.pi * (step - rising) / (steps - rising))) / 2
    end = steps if end is None else end
    falling = end - stable_until(end, recipe)
    return recipe.learning_rate * min(1.0, (end - step) / falling)


def stable_until(end: int, recipe: Recipe) -> int:
    """The step at which a training under ``wsd`` that ends at ``end`` begins to fall."""
    return end - max(1, round(recipe.decay * end))


def rung_end(share: float, steps: int) -> int:
    """The steps of a rung at ``share`` of the whole; at least one."""
    return max(1, round(share * steps))
