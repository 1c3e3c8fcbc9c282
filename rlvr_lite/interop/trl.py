"""TRL: train a world model of this book with the `GRPOTrainer` of Hugging Face.

What: `trainer` sets up TRL with the same task, model and settings as `grpo.train_grpo`. It serves
two ends: the tests compare our loss and gradients with TRL's, and `make bench` our time per step.
Source: TRL's documentation of `GRPOTrainer`; RLVR-World itself uses verl.
Differs from `grpo`: prompts travel as text, one word per id; rollouts come from `generate`; the
standard deviation gets 1e-4 instead of 1e-6 added; groups without spread are forwarded, too.
Needs: `pip install trl` (an extra of this package, never a dependency).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers

from rlvr_lite.grpo import GRPOConfig

LOSSES = {"token": "dapo", "sequence": "grpo", "dr_grpo": "dr_grpo"}  # our name -> TRL's


def word_tokenizer(vocab_size: int):
    """A tokenizer that spells every id as a word: 7 <-> "w7"; 0 is <pad>, 1 is <eos>."""
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "<eos>": 1} | {f"w{i}": i for i in range(2, vocab_size)}
    backend = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="<eos>")


def reward_function(task, transitions: list):
    """A task's reward in TRL's form: it gets ids and row numbers, and returns numbers."""

    def verifiable_reward(completion_ids, row, **_: Any) -> list[float]:
        return [task.reward(list(ids), transitions[i])["reward"]
                for ids, i in zip(completion_ids, row)]

    return verifiable_reward


def trainer(model, task, transitions: list, config: GRPOConfig, folder: str | Path,
            **settings: Any):
    """A `trl.GRPOTrainer` for the same run as `train_grpo(model, task, transitions, config)`.

    Args:
        model: LoRA model or plain Llama.
        task: a `tasks.base.Task`.
        transitions: what questions are drawn from.
        config: our settings; `method` must be "grpo" and `minibatches` 1.
        folder: TRL writes here.
        **settings: further arguments of `trl.GRPOConfig`.

    Raises:
        ValueError: for settings that TRL does not have.
    """
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import GRPOConfig as TRLConfig
    from trl import GRPOTrainer

    if config.method != "grpo" or config.minibatches != 1:
        raise ValueError('this trainer has no method="rejection" and makes one update per '
                         'batch of rollouts; use method="grpo" and minibatches=1')
    rows = [{"prompt": " ".join(f"w{i}" for i in task.question(t)), "row": n}
            for n, t in enumerate(transitions)]
    arguments = TRLConfig(
        output_dir=str(folder), per_device_train_batch_size=config.prompts * config.group,
        num_generations=config.group, max_completion_length=task.max_new, max_steps=config.steps,
        learning_rate=config.lr, lr_scheduler_type=config.schedule, temperature=config.temperature,
        top_k=0, top_p=1.0, epsilon=config.clip, beta=config.beta, loss_type=LOSSES[config.loss],
        use_bias_correction_kl=False,
        scale_rewards="group" if config.scale == "std" else "none", seed=config.seed,
        max_grad_norm=config.grad_clip, weight_decay=config.weight_decay,
        **{"use_cpu": model.device.type == "cpu", "bf16": False, "report_to": [],
           "gradient_checkpointing": False, "save_strategy": "no", "disable_tqdm": True,
           "logging_strategy": "no"} | settings)
    result = GRPOTrainer(
        model=model, reward_funcs=reward_function(task, transitions), args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=word_tokenizer(task.tokenizer.vocab_size))
    result.remove_callback(PrinterCallback)
    return result
