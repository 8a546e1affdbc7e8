"""Annotations that are not COCO, read into the lists of a COCO file, so that one reader checks and counts them all.

Why none of the libraries for this, all looked at in November 2026, with what each would install beside ours:

| library          | installs                             | against it                                                 |
|------------------|--------------------------------------|------------------------------------------------------------|
| supervision 0.31 | PyAV (a video codec), requests       | YOLO and labelme only; corners rounded to whole pixels; a  |
|                  |                                      | bad line stops the folder; labelme's masks, circles skipped|
| datumaro 1.13    | pandas, pyarrow, OpenCV, lxml, …     | needs pillow < 13, so it takes back ours                   |
| labelme2coco 0.2 | sahi, OpenCV, shapely, fire          | no `group_id`; a rectangle loses its mask; a mask raises   |
| pylabel 0.1      | pandas, OpenCV, ipywidgets           | boxes only                                                 |
| labelme 6        | Qt, onnxruntime, scikit-image        | an application                                             |

None says which line or shape it dropped. Each format here is a page on top of pillow and PyYAML, which Hydra needs too.
"""
