"""The steps. Importing this package fills the registry; each name here makes a `Step` from its options."""

from selfinstruct.steps.alpaca import alpaca
from selfinstruct.steps.judge import judge
from selfinstruct.steps.novelty import novelty
from selfinstruct.steps.read import read
from selfinstruct.steps.respond import respond
from selfinstruct.steps.select import select
from selfinstruct.steps.write import write
