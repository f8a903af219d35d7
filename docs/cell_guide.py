"""The groups of the catalogue's cells, and when to take each, for the page of equations."""

GROUPS: dict[str, dict[str, str]] = {
    "Plain networks": {
        "rnn": "Take it to study, or where a few numbers must be remembered for a few steps.",
        "relu_rnn": 'Take it with `initial="identity"` for sums over long sequences.',
    },
    "Long short-term memory": {
        "lstm": "The first choice if nothing speaks for another cell.",
        "coupled_lstm": "As good as the LSTM on most data with a quarter fewer weights.",
        "peephole_lstm": "Take it where gates must see the memory, such as for precise timing.",
        "diagonal_peephole_lstm": "The peepholes of other libraries: a number per unit, no matrix.",
        "coupled_peephole_lstm": "Peepholes with a quarter fewer weights.",
    },
    "Gated recurrent units": {
        "gru": "Three quarters of the LSTM's weights; often as good on small data.",
        "gru_reset_after": "The GRU of cuDNN, torch.nn and Keras; take it for their weights.",
    },
    "Layer normalisation": {
        "layer_norm_lstm": "Take it where training is unstable, or for large learning rates.",
        "layer_norm_gru": "As the normalised LSTM, with three quarters of its weights.",
    },
    "Fewer gates": {
        "mgu": "Half of the LSTM's weights: small data and small devices.",
        "janet": "Half of the LSTM's weights, and remembers over long sequences.",
        "fast_grnn": "A quarter of the LSTM's weights: microcontrollers.",
    },
    "States that meet no matrix": {
        "ind_rnn": "Take many layers of it; gradients of each unit can be set by its own number.",
        "min_gru": "The cheapest gated step; stack several layers.",
        "min_lstm": "As the minimal GRU, with a gate for writing and one for keeping.",
        "qrnn": "Take it for long texts with several layers.",
        "sru": "A cheap step with a highway, so that ten layers and more can be trained.",
        "lru": "Very long sequences and oscillations; stack several, with layers between.",
        "rg_lru": "Take it for very long sequences, between other layers, as Griffin does.",
    },
    "Sizes of their own": {
        "lstmp": "A large memory with small recurrent matrices, as in speech recognition.",
        "scrn": "A slow context beside a plain network: topics of a text, trends.",
    },
    "More than the LSTM": {
        "slstm": "Revises what it stored by exponential gates; take it for tracking and counting.",
        "multiplicative_lstm": "Characters of text: each symbol has its own transition.",
        "nas": "Found by a search on language modelling; slower, at times better than the LSTM.",
        "rhn": "Deep transitions from step to step: characters and words of text.",
    },
    "Differential equations": {
        "co_rnn": "Very long sequences and oscillations: gradients neither vanish nor explode.",
        "lem": "Signals with several time scales, and long dependencies.",
    },
    "Matrices computed from parameters": {
        "antisymmetric_rnn": "Long sequences: the state neither dies out nor explodes.",
        "orthogonal_rnn": "Copying over hundreds of steps: the state keeps its length.",
        "lipschitz_rnn": "Long and noisy sequences; small steps of a damped system.",
    },
    "Matrix states": {
        "linear_attention": "The simplest: sums of what was written; for short memories.",
        "retention": "Language models of long texts; its heads can remember for different times.",
        "gated_linear_attention": "Language models; stack several, with normalisation between.",
        "delta_net": "Recall of pairs and of what changed last.",
        "gated_delta_net": "Recall in long texts, where what is old should go.",
        "mlstm": "The LSTM's gates with a matrix as its memory; stack it with sLSTM.",
        "mamba": "Long sequences of text, sound and DNA; one head, 16 keys.",
        "rwkv_6": "Language models that are to run step by step.",
    },
    "Inputs beside x": {
        "gru_d": "Tables with missing values, such as measurements of patients; for one layer.",
        "cfc": "Steps that are not equally far apart: sensors, control.",
    },
}
