# %% [markdown]
# # From the paper to a tenth of its bits
#
# One trained network, one cut, four codecs: the paper's, the same symbols with better coding and decoding, and the
# transform. All are calibrated on the same unlabelled images; the accuracy is that of 1,000 other ones, each sent
# as a stream of its own, every byte counted. Run it in a clone: network and images are the demo's.

# %%
import sys

import torch

import lwfc
import lwfc.torch as lt

sys.path.insert(0, "../../benchmarks")
import demo_nets

torch.set_num_threads(1)
model, _ = demo_nets.load_models()
unlabelled, _ = demo_nets.load_classifier_data("calibration", 500)
images, labels = demo_nets.load_classifier_data("test")
with torch.no_grad():
    calibration, features = (model.edge(x).numpy() for x in (unlabelled, images))
    outputs = model.cloud(torch.from_numpy(features))
uncoded = demo_nets.accuracy(lambda x: model(x), images, labels)
print(f"{features.shape[1:]} values an image, {uncoded:.1f} % right without a codec")


# %%
def row(name, codec):
    nbytes = sum(len(codec.encode(features[i : i + 1])) for i in range(len(features)))
    y = codec.simulate(features)
    with torch.no_grad():
        answers = model.cloud(torch.from_numpy(y))
    right = 100 * float((answers.argmax(1) == labels).float().mean())
    moved = float((answers - outputs).square().mean() / outputs.var())
    error = float(((y - features) ** 2).mean() / features.var())
    print(
        f"{name:26} {8 * nbytes / features.size:6.3f} bits a value  {nbytes // len(features):5d} bytes an image  "
        f"{uncoded - right:4.1f} points lost;  squared error: features {error:.2f}, outputs {moved:.3f}"
    )


# %% [markdown]
# ## The paper's codec
#
# A few levels over a range fitted to a model of the activation; truncated unary; adaptive binary contexts. The range
# that gives the fewest bits at the same accuracy is wider than the one of least squared error.

# %%
paper = {"levels": 3, "coder": "cabac", "activation": "relu", "bound": True}
row("paper, least error", lwfc.calibrate(calibration, **paper))
row("paper, wider range", lwfc.calibrate(calibration, clip_scale=1.8, **paper))

# %% [markdown]
# ## The same idea, coded and restored better
#
# Each symbol is predicted from its neighbours and from other channels; the decoder puts back the value a linear fit
# expects, not that of the level. It serves the features: whatever looks at them gets them within this error.

# %%
restored = {"levels": 2, "coder": "context", "restore": "linear", "clip_scale": 2}
row("context + linear", lwfc.calibrate(calibration, activation="relu", bound=True, **restored))

# %% [markdown]
# ## The transform
#
# The second half hardly looks at high spatial frequencies, nor at most mixtures of channels. Gradients of random
# projections of the outputs say how little; `lt.calibrate` makes them, without labels. In coordinates where an error
# of one costs the outputs the same everywhere, nearly all coefficients round to zero, and zeros cost next to nothing.
# The step is the largest whose outputs, on images held out of the fit, stay within `distortion`: here nats.

# %%
for distortion in (0.01, 0.02):
    codec = lt.calibrate(
        model, model.split_layer, unlabelled, transform="dct", distortion=distortion
    )
    row(f"transform, distortion {distortion:g}", codec)
codec

# %% [markdown]
# A thousand images tell accuracies apart by a point or so, which is why the step is not chosen by them: the outputs'
# distortion is nearly free of noise. `lt.tune(..., transform="auto")` checks a metric of yours as well, by the upper
# end of its confidence interval.
#
# ## What it costs
#
# Read the last two columns again: the features' squared error is about half of their variance, and the outputs hardly
# move. The codec is tuned to *this* second half: a head trained anew needs a new calibration, and whatever looks at
# the features in another way, a viewer, a second task, fine-tuning, needs another profile.
#
# Without gradients, from NumPy alone, a fall-off of what errors cost with their frequency stands in for them. It
# still beats levels here, at more bits than the tuned one.

# %%
row("transform, no gradients", lwfc.calibrate(calibration, transform="dct", distortion=0.35))
