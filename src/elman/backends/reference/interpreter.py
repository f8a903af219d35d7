"""Run the instructions of a plan as torch calls, one per value."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from elman.backends.plan import Plan
from elman.backends.reference.rows import Rows
from elman.backends.reference.schedule import Instructions, schedule_of
from elman.graph.node import OPERATIONS, Node, intern
from elman.graph.sizes import Sizes
from elman.passes import PackedProduct
from elman.torch_mathematics import TorchMathematics

Values = dict[Node, Tensor]
INPUT = intern("input", (), None)


class Interpreter:
    """A plan with sizes and parameters; it packs the matrices once per call."""

    def __init__(
        self, plan: Plan, sizes: Sizes, parameters: Sequence[Tensor], like: Tensor
    ) -> None:
        self.plan, self.sizes, self.like = plan, sizes, like
        self.schedule = schedule_of(plan)
        self.parameters: Values = {
            p.leaf: tensor.to(like.dtype)
            for p, tensor in zip(plan.cell.parameters, parameters, strict=True)
        }

    def masks(self, given: Sequence[Tensor], rows: Rows) -> Values:
        """The masks as rows of all steps, in the order of computation."""
        return {
            node: rows.flatten(
                mask.to(self.like.dtype).expand(
                    rows.time, rows.batch, self.sizes.width((node.size,))
                )
            )
            for node, mask in zip(self.plan.cell.masks, given, strict=True)
        }

    def sides(self, given: Sequence[Tensor], rows: Rows) -> Values:
        """The side inputs as rows of all steps, in the order of computation."""
        return {
            node: rows.flatten(side.to(self.like.dtype))
            for node, side in zip(self.plan.cell.side_leaves, given, strict=True)
        }

    def leaves(self) -> Values:
        """The values that are constant over steps: constants and vectors."""
        values = {n: t for n, t in self.parameters.items() if n.operation == "vector"}
        schedule = self.schedule
        for instructions in (schedule.before, schedule.step, schedule.back, schedule.after):
            for item in instructions:
                if isinstance(item, Node):
                    for operand in item.operands:
                        if operand.operation == "constant" and operand not in values:
                            values[operand] = self.like.new_tensor(operand.attribute)
        return values

    def compile(self, instructions: Instructions) -> list[Callable[[Values], None]]:
        """Instructions as functions that add to the values, one per torch call."""
        return [self._instruction(item) for item in instructions]

    def _instruction(self, item: Node | PackedProduct) -> Callable[[Values], None]:
        if isinstance(item, PackedProduct):
            return self._packed_product(item)
        if item.operation == "transposed_product":
            return self._transposed_product(item)
        rule, mathematics = OPERATIONS[item.operation].evaluate, TorchMathematics
        assert rule is not None
        if len(item.operands) == 1:
            (only,) = item.operands

            def unary(values: Values) -> None:
                values[item] = rule(mathematics, values[only])

            return unary
        if len(item.operands) == 2:
            first, second = item.operands

            def binary(values: Values) -> None:
                values[item] = rule(mathematics, values[first], values[second])

            return binary
        operands = item.operands

        def general(values: Values) -> None:
            values[item] = rule(mathematics, *[values[operand] for operand in operands])

        return general

    def _packed_product(self, item: PackedProduct) -> Callable[[Values], None]:
        blocks = [
            self.parameters[node.operands[0]][:, self.sizes.columns(node.attribute)]
            for node in item.products
        ]
        if len(blocks) == 1:
            matrix, (product,) = blocks[0].T, item.products

            def one(values: Values) -> None:
                values[product] = values[item.operand] @ matrix

            return one
        matrix = torch.cat(blocks).T

        widths = [len(block) for block in blocks]

        def several(values: Values) -> None:
            parts = (values[item.operand] @ matrix).split(widths, -1)
            values.update(zip(item.products, parts, strict=True))

        return several

    def _transposed_product(self, node: Node) -> Callable[[Values], None]:
        matrix = torch.cat(
            [
                self.parameters[w][:, self.sizes.columns(block)]
                for w, block in zip(node.operands[::2], node.attribute, strict=True)
            ]
        )
        gradients = node.operands[1::2]

        def transposed(values: Values) -> None:
            values[node] = torch.cat([values[g] for g in gradients], -1) @ matrix

        return transposed

    def filled(self, value: Tensor, rows: int, node: Node) -> Tensor:
        """Expand a value that depends only on parameters, such as exp(p.f), to all rows."""
        if value.dim() == 2:
            return value
        return value.expand(rows, self.sizes.width((node.size,)))

    def parameter_gradients(self, whole: Values) -> list[Tensor]:
        """For a vector, a sum over rows; for a matrix, one product over all rows per operand."""
        gradient, gathered = self.plan.gradient, {}
        for key, node in gradient.vectors.items():
            gathered["vector", *key] = whole[node].sum(0)
        for n, t in self.parameters.items():
            gathered.setdefault((n.operation, *n.attribute[:2]), torch.zeros_like(t))
        by_operand: dict[Node, list[int]] = {}
        for position, product in enumerate(gradient.products):
            by_operand.setdefault(product.operand, []).append(position)
        blocks: dict[int, Tensor] = {}
        for operand, positions in by_operand.items():
            gradients = [whole[gradient.products[p].gradient] for p in positions]
            stacked = torch.cat(gradients, -1)
            values = self.filled(whole[operand], stacked.shape[0], operand)
            parts = (stacked.T @ values).split([g.shape[-1] for g in gradients])
            blocks.update(zip(positions, parts, strict=True))
        for position, product in enumerate(gradient.products):
            columns = self.sizes.columns(product.block)
            before = gathered["matrix", *product.matrix]
            padded = torch.nn.functional.pad(
                blocks[position], (columns.start, before.shape[1] - columns.stop)
            )
            gathered["matrix", *product.matrix] = before + padded
        return [gathered[p.kind, p.family, p.gate] for p in self.plan.cell.parameters]
