"""How a prompt's length is made to suit the blocks of the flow's attention."""


def num_dropped(num_tokens: int, *, block: int, lookahead: int) -> int:
    """How many of a prompt's ``num_tokens`` to leave out at its head, less than a ``block`` of them.

    What is left ends ``lookahead`` tokens behind a block. So all of its blocks can be solved before there is any text
    to speak, once for all requests, and every first hop waits for the same few tokens. A prompt too short for one such
    block is left as it is.
    """
    return 0 if num_tokens < block + lookahead else (num_tokens - lookahead) % block
