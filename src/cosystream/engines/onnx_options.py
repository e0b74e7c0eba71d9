"""How every ONNX graph is run here: on so many threads, which sleep while they wait."""

import onnxruntime as ort


def session_options(num_threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    # Waiting threads would spin otherwise: a tenth more CPU time for the same speed, and for less of it as soon as
    # anyone else wants a core.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
