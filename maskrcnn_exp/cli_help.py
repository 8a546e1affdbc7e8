"""The help texts of the commands that take `key=value` words."""

from __future__ import annotations

from typing import Final

__all__ = ["CHECK_DATA_HELP", "EVALUATE_HELP", "EXPORT_HELP", "PREDICT_HELP", "TRAIN_HELP"]

TRAIN_HELP: Final = """usage: python -m maskrcnn_exp train [group=choice …] [key=value …]

  python -m maskrcnn_exp train                          a small network on drawn shapes, minutes on a CPU
  python -m maskrcnn_exp train lr.mask_mult=10          the mask head learns ten times faster
  python -m maskrcnn_exp train dataset=coco dataset.root=FOLDER model=mobilenet_v2_fpn
  python -m maskrcnn_exp train run_dir=FOLDER           goes on where the run in FOLDER stopped
  python -m maskrcnn_exp train --multirun lr.mask_mult=1,5,10

Groups (group=choice):
{groups}

Keys (key=value), as composed from the words beside --help:
{config}
Type, default, unit and meaning of every key: maskrcnn_exp/schema/
Hydra's own flags (--multirun, --cfg job, --config-dir): --hydra-help
Completion of commands, groups and keys in bash and zsh: eval "$(maskrcnn-exp -sc install=bash)"
"""

EVALUATE_HELP: Final = """usage: python -m maskrcnn_exp evaluate checkpoint=PATH [output=FILE.json] [key=value …]

Prints the five validation losses, the twelve COCO numbers for boxes and for masks, and what holds mask AP back: boxes,
classes, mask head or resolution, in points of AP, with boundary AP and TIDE's kinds of errors.

  checkpoint=PATH      a checkpoint of a run; its data, model and settings are taken from it
  output=FILE.json     also write the numbers as JSON
  oracle=false         leave out what holds mask AP back
  key=value            overrides, as for train: dataset=coco dataset.root=FOLDER evaluates on other pictures"""

PREDICT_HELP: Final = """usage: python -m maskrcnn_exp predict checkpoint=PATH images=FILE|DIR|GLOB output=DIR …

  images=pictures               every picture in the folder and below it
  images='pictures/*.jpg'       a pattern, quoted; ** goes through folders
  output=DIR                    predictions.json (COCO results), images.json (the pictures and classes they refer to),
                                overlays/NAME.jpg
  score=0.5                     least score of what is drawn and outlined; predictions.json holds all
                                above model.score_threshold
  format=coco,yolo,labelme      also yolo/NAME.txt (polygons) or labelme/NAME.json
  overlays=false                no pictures
  trainer=cpu                   any override of evaluate: trainer.…, model.score_threshold, model.min_size, …

A picture that cannot be read is named and left out; then the exit code is 3.
"""

EXPORT_HELP: Final = """usage: python -m maskrcnn_exp export CHECKPOINT|RUN [format=onnx,torchvision] [key=value …]

  python -m maskrcnn_exp export runs/maskrcnn/RUN                      its best.pt as RUN/export/best.onnx
  python -m maskrcnn_exp export runs/maskrcnn/RUN format=torchvision   best.pth, best.json, load_torchvision.py

Before a file is written, its network and the checkpoint's find objects in the same pictures; they must agree.

  format=onnx                   one graph for pictures of any size, resizing and masks included, run by onnxruntime:
                                pip install 'maskrcnn-exp[export]'
  format=torchvision            a state dict that torchvision's own MaskRCNN loads, and what it takes to build it
  output=DIR                    RUN/export if not given
  images=FILE|DIR|GLOB          pictures to compare on; the run's validation pictures if not given
  pictures=8                    how many
  masks=small                   ONNX: masks as the mask head gives them, not pasted into the picture
  key=value                     model.score_threshold, model.min_size, model.max_size, model.detections_per_image

Exit code 5 where they do not agree or the network cannot be exported; then nothing is written."""

CHECK_DATA_HELP: Final = """usage: python -m maskrcnn_exp check-data dataset=… [key=value …]

  python -m maskrcnn_exp check-data dataset=coco dataset.root=FOLDER
  python -m maskrcnn_exp check-data dataset=coco dataset.train.annotations=FILE.json pictures=false
  python -m maskrcnn_exp check-data dataset=coco dataset.root=FOLDER fix=repaired.json

Says what is wrong with a dataset, which annotations or pictures, and what to do; the files are only read.

  fix=PATH.json        also write a repaired COCO file and PATH.json.changes.txt, which names every change;
                       for a validation file, PATH.val.json; yolo_seg, labelme and voc become COCO by it
  json=true            print the report as JSON
  pictures=false       look at the annotations alone, not into the picture files
  output=FOLDER        where report.json and the contact sheet worst.png go; runs/check_data/<time> by default
  key=value            as for train: the dataset, and the model (model=…, model.min_size=[…], model.anchor_sizes=[…]),
                       for which the objects' sizes are judged

Exit codes: 0 no errors (there may be warnings and notes), or all of them are repaired by fix=PATH · 3 errors"""
